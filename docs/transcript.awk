# Turns the output of docs/aws.sh, or of another demo, into a page: awk -v title=T -v from=SCRIPT -f docs/transcript.awk
function close_block() { if (open) { print "```"; open = 0 } }
BEGIN {
	print "# " title "\n"
	print "This page is the output of `" from "`. `make transcripts` generates it. Ports, times, revisions and"
	print "request ids differ in each run."
}
/^The demo is done/ { exit }
/^\| ?/ { if (open) close_block(); if (!prose) print ""; prose = 1; sub(/^\| ?/, ""); print; next }
{ prose = 0 }
/^## / { close_block(); print "\n" $0; next }
/^\$ / && !open { print "\n```console"; open = 1 }
open && $0 != "" { print }
END { close_block() }
