package probe

import "slices"

// All returns the probes in the recommended order. The last probe, no-secrets, also checks the
// errors that the other probes caused.
func All() []Probe { return slices.Clone(all) }

var all = []Probe{
	{
		Clause: "read-after-write", check: checkReadAfterWrite,
		Doc: "a read reflects the last completed write, overwrite or delete",
	},
	{
		Clause: "two-clients", check: checkTwoClients, requires: []requirement{needReopen},
		Doc: "a second client immediately sees the completed writes, overwrites and deletes of the first client",
	},
	{
		Clause: "sizes", check: checkSizes,
		Doc: "objects of 0 bytes, 1 byte and 1 MiB are returned unchanged",
	},
	{
		Clause: "large", check: checkLarge, Large: true,
		Doc: "a large object is returned unchanged, as a whole and in ranges across parts",
	},
	{
		Clause: "names", check: checkNames,
		Doc: "every key that a vault derives from a name can be written, read and deleted, and is listed unchanged",
	},
	{
		Clause: "ranges", check: checkRanges,
		Doc: "a range read returns exactly the requested bytes, up to the end of the object, or an error",
	},
	{
		Clause: "list", check: checkList,
		Doc: "a list of 1,100 objects is in byte order, in pages of at most 1000; each page starts after the last key of the previous page",
	},
	{
		Clause: "list-after-write", check: checkListAfterWrite, Chance: true,
		Doc: "a list immediately shows completed writes and deletes",
	},
	{
		Clause: "all-or-nothing", check: checkAllOrNothing,
		Doc: "a write whose source fails or panics, or whose context ends, leaves the previous object unchanged",
	},
	{
		Clause: "all-or-nothing-large", check: checkAllOrNothingLarge, Large: true,
		Doc: "a write of a large object that fails after some parts were stored leaves the previous object unchanged",
	},
	{
		Clause: "create", check: checkCreate,
		Doc: "a create-only write succeeds if the object does not exist, and never replaces an existing object",
	},
	{
		Clause: "create-after-delete", check: checkCreateAfterDelete,
		Doc: "a create-only write succeeds if the object was deleted",
	},
	{
		Clause: "create-large", check: checkCreateLarge, Large: true,
		Doc: "create-only writes also work for large objects",
	},
	{
		Clause: "create-detects", check: checkCreateDetects,
		Doc: "exactly one of sixteen concurrent creates succeeds, and its value stays",
	},
	{
		Clause: "create-atomic", check: checkCreateAtomic, Chance: true,
		Doc: "exactly one of sixteen concurrent creates succeeds, and no reader ever sees the value of a create that failed",
	},
	{
		Clause: "swap", check: checkSwap, requires: []requirement{needSwap},
		Doc: "compare-and-swap replaces an object only if it has the given tag; an open reader returns the tag of the object that it reads, without another request",
	},
	{
		Clause: "swap-atomic", check: checkSwapAtomic, requires: []requirement{needSwap},
		Doc: "exactly one of sixteen concurrent compare-and-swaps with the same tag succeeds, and its value stays",
	},
	{
		Clause: "swap-large", check: checkSwapLarge, requires: []requirement{needSwap}, Large: true,
		Doc: "compare-and-swap also works for a large object",
	},
	{
		Clause: "splice", check: checkSplice, requires: []requirement{needSplice}, Large: true,
		Doc: "a splice replaces the start of an object, and keeps the other bytes exactly; if the object does not have the given tag, or the context ends, nothing changes",
	},
	{
		Clause: "splice-atomic", check: checkSpliceAtomic, requires: []requirement{needSplice, needSwap}, Large: true, Chance: true,
		Doc: "exactly one of four concurrent splices and compare-and-swaps with the same tag succeeds, and the object is never a mix of two",
	},
	{
		Clause: "history", check: checkHistory, requires: []requirement{needHistory},
		Doc: "every version of a key is listed, newest first, including delete markers",
	},
	{
		Clause: "history-overwriters", check: checkHistoryOverwriters, requires: []requirement{needHistory},
		Doc: "after concurrent overwrites of a key, its history contains every value",
	},
	{
		Clause: "versions", check: checkVersions, requires: []requirement{needHistory},
		Doc: `every version can be read by its ID, as a whole and in ranges; for any other ID a read returns "not found"`,
	},
	{
		Clause: "remove", check: checkRemove, requires: []requirement{needRemover},
		Doc: "one call deletes the objects of 1000 keys, and no other objects",
	},
	{
		Clause: "remove-tells-absent", check: checkRemoveReportsAbsent, requires: []requirement{needRemover},
		Doc: "a delete of several keys reports which objects do not exist",
	},
	{
		Clause: "delete-tells-absent", check: checkDeleteReportsAbsent,
		Doc: `a delete of a missing object returns "not found"`,
	},
	{
		Clause: "purge", check: checkPurge, requires: []requirement{needPurge},
		Doc: "old versions and delete markers can be listed and permanently deleted; current objects stay",
	},
	{
		Clause: "errors", check: checkErrors,
		Doc: `"not found", "already exists" and "conflict" are different errors`,
	},
	{
		Clause: "errors-denied", check: checkDenied, requires: []requirement{needDenied},
		Doc: `a caller without permission gets "permission denied", and changes nothing`,
	},
	{
		Clause: "errors-expired", check: checkExpired, requires: []requirement{needExpired},
		Doc: "a caller with expired credentials gets a distinct error, and changes nothing",
	},
	{
		Clause: "errors-unreachable", check: checkUnreachable, requires: []requirement{needNetwork},
		Doc: "an unreachable store is reported as unavailable",
	},
	{
		Clause: "close", check: checkClose, requires: []requirement{needReopen},
		Doc: "closing a store ends its goroutines",
	},
	{
		Clause: "no-secrets", check: checkNoSecrets,
		Doc: "no error contains a credential or a value",
	},
}
