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
# A file of fpath is run as a function, on the first Tab, to complete something.
if [[ ${zsh_eval_context[-1]} == (loadautofunc|shfunc) ]]; then
	@FUNCTION@ "$@"
fi
