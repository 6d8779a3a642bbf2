package tencent

import (
	"context"
	"encoding/hex"
	"net/http"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/vault"
)

// An optimistic write tells in its metadata after which version it wants to come. So it can
// be seen of one that lost that it did, before whoever wrote it has removed it: nobody
// builds on it.

// basis is the name of that metadata, and onNothing its value where nothing may be there;
// else it is the version's id in hex, since ids may hold what a header may not.
const (
	basis     = "basis"
	onNothing = "none"
)

func onVersion(id string) string { return hex.EncodeToString([]byte(id)) }

// doomed says whether a version, which is current, has lost and is about to be removed by
// whoever wrote it. Of one that is older than that may take it says no: the writer died.
func (s *store) doomed(ctx context.Context, key string, v *vault.Version) (bool, error) {
	r, err := s.open(ctx, key, v.ID, 0, 0)
	switch gcerrors.Code(err) {
	case gcerrors.OK:
		defer r.Close()
	case gcerrors.NotFound:
		return true, nil
	case gcerrors.PermissionDenied: // it may not be asked for, only read
		return false, nil
	default:
		return false, err
	}
	wanted := header(r, "X-Cos-Meta-"+basis)
	if wanted == "" || aged(r) {
		return false, nil
	}
	found, first := false, true
	for w, err := range s.Versions(ctx, key) {
		switch {
		case err != nil:
			return false, err
		case !found:
			found = w.ID == v.ID
		case first && (onVersion(w.ID) == wanted || wanted == onNothing && w.Deleted):
			return false, nil
		case wanted == onNothing, onVersion(w.ID) == wanted: // something came between
			return true, nil
		default:
			first = false
		}
	}
	// What it came after was removed since, and so was the proof.
	return false, nil
}

// aged says whether an object was written so long before it was answered that its write
// has been judged.
func aged(r *blob.Reader) bool {
	now, err := http.ParseTime(header(r, "Date"))
	return err == nil && now.Sub(r.ModTime()) > 2*judgeTime
}
