# The demos in this directory source this file.

# say prints the title of a part.
say() { printf '\n## %s\n' "$1"; }

# try shows COMMAND and what it prints. The exit code must be CODE, which is shown if it is given, and 0
# otherwise. With another one the script fails.
try() { # COMMAND [CODE]
	code=0
	printf '\n$ %s\n' "$1${2:+; echo \"exit code \$?\"}"
	sh -c "$1" >.output 2>&1 || code=$?
	sed "s|$HOME|~|g" .output
	[ $# -lt 2 ] || echo "exit code $code"
	[ $code = "${2:-0}" ] || { echo "$0: the exit code is $code and must be ${2:-0}: $1" >&2; exit 1; }
}
