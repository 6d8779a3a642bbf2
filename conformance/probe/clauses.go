package probe

import "slices"

// All returns the probes in the order in which they are best run: the last ones
// judge what the others have seen.
func All() []Probe { return slices.Clone(all) }

var all = []Probe{
	{
		Clause: "read-after-write", check: checkReadAfterWrite,
		Doc: "a read returns the last completed write, overwrite or delete",
	},
	{
		Clause: "two-clients", check: checkTwoClients, needs: []need{needReopen},
		Doc: "a second client sees completed writes, overwrites and deletes of the first at once",
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
		Doc: "every key that a vault derives from a name works, and is listed unchanged",
	},
	{
		Clause: "ranges", check: checkRanges,
		Doc: "a range returns exactly its bytes, up to the end of the object, or an error",
	},
	{
		Clause: "list", check: checkList,
		Doc: "a list of 1,100 objects has pages of at most 1000, in byte order, and continues by key",
	},
	{
		Clause: "list-after-write", check: checkListAfterWrite, Chance: true,
		Doc: "a list shows completed writes and deletes at once",
	},
	{
		Clause: "all-or-nothing", check: checkAllOrNothing,
		Doc: "a write whose source fails or panics, or whose context ends, leaves the previous object",
	},
	{
		Clause: "all-or-nothing-large", check: checkAllOrNothingLarge, Large: true,
		Doc: "the same for large objects, after some parts were stored",
	},
	{
		Clause: "create", check: checkCreate,
		Doc: "create-only stores a missing object, and refuses to replace an existing one",
	},
	{
		Clause: "create-after-delete", check: checkCreateAfterDelete,
		Doc: "create-only stores an object that was deleted before",
	},
	{
		Clause: "create-large", check: checkCreateLarge, Large: true,
		Doc: "create-only also refuses to replace a large object",
	},
	{
		Clause: "create-detects", check: checkCreateDetects,
		Doc: "exactly one of sixteen concurrent creates succeeds, and its value stays",
	},
	{
		Clause: "create-atomic", check: checkCreateAtomic, Chance: true,
		Doc: "the same, and no reader ever sees another value",
	},
	{
		Clause: "swap", check: checkSwap, needs: []need{needSwap},
		Doc: "compare-and-swap replaces only the object with its tag; a tag needs no request",
	},
	{
		Clause: "swap-atomic", check: checkSwapAtomic, needs: []need{needSwap},
		Doc: "exactly one of sixteen concurrent swaps of one tag succeeds, and its value stays",
	},
	{
		Clause: "swap-large", check: checkSwapLarge, needs: []need{needSwap}, Large: true,
		Doc: "compare-and-swap also works for a large object",
	},
	{
		Clause: "history", check: checkHistory, needs: []need{needHistory},
		Doc: "every version of a key is listed, newest first, including delete markers",
	},
	{
		Clause: "history-overwriters", check: checkHistoryOverwriters, needs: []need{needHistory},
		Doc: "after concurrent overwrites of a key every value is in its history",
	},
	{
		Clause: "versions", check: checkVersions, needs: []need{needHistory},
		Doc: "every version opens by its id, as a whole and in ranges; other ids are not found",
	},
	{
		Clause: "remove", check: checkRemove, needs: []need{needRemover},
		Doc: "one call removes the objects of 1000 keys, and no others",
	},
	{
		Clause: "remove-tells-absent", check: checkRemoveTellsAbsent, needs: []need{needRemover},
		Doc: "removing several keys reports the missing ones",
	},
	{
		Clause: "delete-tells-absent", check: checkDeleteTellsAbsent,
		Doc: "deleting a missing object is not found",
	},
	{
		Clause: "purge", check: checkPurge, needs: []need{needPurge},
		Doc: "old versions are listed and permanently deleted; current objects stay",
	},
	{
		Clause: "errors", check: checkErrors,
		Doc: "not found, exists and conflict have different codes",
	},
	{
		Clause: "errors-denied", check: checkDenied, needs: []need{needDenied},
		Doc: "a caller without permission gets the code for that, and changes nothing",
	},
	{
		Clause: "errors-expired", check: checkExpired, needs: []need{needExpired},
		Doc: "expired credentials have their own code, and change nothing",
	},
	{
		Clause: "errors-unreachable", check: checkUnreachable, needs: []need{needNetwork},
		Doc: "an unreachable store has its own code",
	},
	{
		Clause: "close", check: checkClose, needs: []need{needReopen},
		Doc: "closing a store ends its goroutines",
	},
	{
		Clause: "no-secrets", check: checkNoSecrets,
		Doc: "no error contains a credential or a value",
	},
}
