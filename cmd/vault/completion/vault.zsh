#compdef @PROGRAM@
@FUNCTION@() {
	local -a answers
	answers=("${(@f)$("${words[1]}" __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ ${answers[1]} == :files ]]; then
		_files
		return
	fi
	compadd -- ${answers:#}
}
compdef @FUNCTION@ @PROGRAM@
