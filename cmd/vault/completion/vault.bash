@FUNCTION@() {
	local line=${COMP_LINE:0:COMP_POINT} words=() word current i answer
	# Bash splits words at = and : too; put together what belongs together.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((i > 0)) && [[ $line == [!\ ]* && -n $line ]]; then
			words[${#words[@]}-1]+=$word
		else
			words+=("$word")
		fi
		while [[ $line == \ * ]]; do line=${line# }; done
		line=${line#"$word"}
	done
	current=${words[${#words[@]}-1]}
	# What Bash replaces is only what follows the last = or :.
	word=${COMP_WORDS[COMP_CWORD]}
	[[ $word == [=:] ]] && word=
	local kept=${current%"$word"}
	COMPREPLY=()
	while IFS= read -r answer; do
		if [[ $answer == :files ]]; then
			compopt -o default 2>/dev/null
			COMPREPLY=()
			return
		fi
		printf -v answer %q "${answer#"$kept"}"
		COMPREPLY+=("$answer")
	done < <("${COMP_WORDS[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F @FUNCTION@ @PROGRAM@
