package probe

import "slices"

// All returns the probes in the order in which they are best run: the last ones
// judge what the others have seen.
func All() []Probe { return slices.Clone(all) }

var all = []Probe{
	{
		Clause: "read-after-write", check: checkReadAfterWrite,
		Doc: "a write, an overwrite and a delete that were answered are what the next read sees",
	},
	{
		Clause: "two-clients", check: checkTwoClients, needs: []need{needReopen},
		Doc: "a second client sees at once what the first one wrote, replaced and deleted",
	},
	{
		Clause: "sizes", check: checkSizes,
		Doc: "objects of 0 bytes, 1 byte and 1 MiB come back as they were",
	},
	{
		Clause: "large", check: checkLarge, Large: true,
		Doc: "a large object comes back as it was, whole and in ranges over its seams",
	},
	{
		Clause: "names", check: checkNames,
		Doc: "every key that a vault makes of a name works and is listed under its own name",
	},
	{
		Clause: "ranges", check: checkRanges,
		Doc: "a range is answered exactly, clipped at the end, or with an error",
	},
	{
		Clause: "list", check: checkList,
		Doc: "a listing of 1,100 objects comes in pages of at most 1000, in byte order, and goes on by key",
	},
	{
		Clause: "list-after-write", check: checkListAfterWrite, Chance: true,
		Doc: "a listing sees at once what was written and deleted",
	},
	{
		Clause: "all-or-nothing", check: checkAllOrNothing,
		Doc: "a write whose source fails or panics, or whose context ends, leaves what was there",
	},
	{
		Clause: "all-or-nothing-large", check: checkAllOrNothingLarge, Large: true,
		Doc: "the same of large objects, where some parts are stored already",
	},
	{
		Clause: "create", check: checkCreate,
		Doc: "create-only stores where nothing is, and refuses and keeps what is there",
	},
	{
		Clause: "create-after-delete", check: checkCreateAfterDelete,
		Doc: "create-only stores where an object was deleted",
	},
	{
		Clause: "create-large", check: checkCreateLarge, Large: true,
		Doc: "create-only has one winner among large objects as well",
	},
	{
		Clause: "create-detects", check: checkCreateDetects,
		Doc: "of sixteen creators at once exactly one is told success, and its value stays",
	},
	{
		Clause: "create-atomic", check: checkCreateAtomic, Chance: true,
		Doc: "the same, and no reader ever sees the value of a loser",
	},
	{
		Clause: "swap", check: checkSwap, needs: []need{needSwap},
		Doc: "a swap replaces only what its tag names; a tag costs no request",
	},
	{
		Clause: "swap-atomic", check: checkSwapAtomic, needs: []need{needSwap},
		Doc: "of sixteen swaps of one tag exactly one is told success, and its value stays",
	},
	{
		Clause: "swap-large", check: checkSwapLarge, needs: []need{needSwap}, Large: true,
		Doc: "a swap of a large object looks at its tag as well",
	},
	{
		Clause: "history", check: checkHistory, needs: []need{needHistory},
		Doc: "every state of a key is listed, newest first, markers of deletion included",
	},
	{
		Clause: "history-overwriters", check: checkHistoryOverwriters, needs: []need{needHistory},
		Doc: "when several overwrite a key at once, every value is in its history",
	},
	{
		Clause: "versions", check: checkVersions, needs: []need{needHistory},
		Doc: "every version opens by its id, whole and in ranges; ids of nothing are not found",
	},
	{
		Clause: "remove", check: checkRemove, needs: []need{needRemover},
		Doc: "one call removes the objects of 1000 keys, and no others",
	},
	{
		Clause: "remove-tells-absent", check: checkRemoveTellsAbsent, needs: []need{needRemover},
		Doc: "removing many tells which of them were not there",
	},
	{
		Clause: "delete-tells-absent", check: checkDeleteTellsAbsent,
		Doc: "deleting what is not there is not found",
	},
	{
		Clause: "purge", check: checkPurge, needs: []need{needPurge},
		Doc: "what stays in history is listed and removed for ever; current objects stay",
	},
	{
		Clause: "errors", check: checkErrors,
		Doc: "absent, taken and conflict are told by code, each as itself",
	},
	{
		Clause: "errors-denied", check: checkDenied, needs: []need{needDenied},
		Doc: "a caller without rights is told so by code, and changes nothing",
	},
	{
		Clause: "errors-expired", check: checkExpired, needs: []need{needExpired},
		Doc: "expired credentials are told by code, and change nothing",
	},
	{
		Clause: "errors-unreachable", check: checkUnreachable, needs: []need{needNetwork},
		Doc: "a store that does not answer is taken for nothing else",
	},
	{
		Clause: "close", check: checkClose, needs: []need{needReopen},
		Doc: "closing a store ends what it started",
	},
	{
		Clause: "no-secrets", check: checkNoSecrets,
		Doc: "no error holds a credential or a value",
	},
}
