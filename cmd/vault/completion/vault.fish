function @FUNCTION@
	set -l words (commandline -opc)
	set -l typed (commandline -ct)
	set -l answers ($words[1] __complete -- $words[2..-1] $typed 2>/dev/null)
	if test "$answers[1]" = ":files"
		__fish_complete_path $typed
	else
		printf '%s\n' $answers
	end
end
complete -c @PROGRAM@ -f -a '(@FUNCTION@)'
