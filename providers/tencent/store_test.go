package tencent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
)

type noSource struct{ err error }

func (n noSource) Token(context.Context) (federation.Token, error) { return federation.Token{}, n.err }

type fixed struct{ token federation.Token }

func (f fixed) Token(context.Context) (federation.Token, error) { return f.token, nil }

func sourceOf(t federation.Token) federation.Source { return fixed{t} }

// TestStoreFields checks which fields of a Store are set for a bucket.
func TestStoreFields(t *testing.T) {
	for _, tc := range []struct {
		versioning    string
		history, swap bool
	}{{"", false, false}, {"Enabled", true, true}, {"Suspended", true, false}} {
		t.Run(tc.versioning, func(t *testing.T) {
			s := newServer(t, &costest.Options{Versioning: tc.versioning})
			st := open(t, config(s, owner(s)))
			if got := st.History != nil; got != tc.history || got != (st.Purge != nil) {
				t.Errorf("history is set: %v, want %v", got, tc.history)
			}
			if got := st.Swap != nil; got != tc.swap {
				t.Errorf("swap is set: %v, want %v", got, tc.swap)
			}
			var asked []string
			for _, r := range s.Requests() {
				asked = append(asked, r.Action)
			}
			if diff := cmp.Diff([]string{"GetBucketVersioning"}, asked); diff != "" {
				t.Errorf("requests of Open (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSuspended: no create is sent to a bucket with suspended versioning, because COS would overwrite an
// existing object.
func TestSuspended(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Suspended"})
	st := open(t, config(s, owner(s)))
	if _, err := st.Put.Put(t.Context(), "key", value); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key", "absent"} {
		_, err := st.Create.Create(t.Context(), key, func(w io.Writer) error { _, err := io.WriteString(w, "other"); return err })
		if _, reason, unapplied := explained(t, st, err); !errors.Is(err, vault.ErrUnsupported) || reason != vault.VersioningSuspended || !unapplied {
			t.Errorf("create of %s: %v, reason %v, unapplied %v", key, err, reason, unapplied)
		}
	}
	if got, err := st.Bucket.ReadAll(t.Context(), "key"); string(got) != "value" || err != nil {
		t.Errorf("the object has the value %q, %v", got, err)
	}
	if exists, err := st.Bucket.Exists(t.Context(), "absent"); exists || err != nil {
		t.Errorf("a refused create stored something: %v, %v", exists, err)
	}
}

// TestVersioningHidden: the role has no permission to read the versioning of the bucket.
func TestVersioningHidden(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	c := exchanged(t, s, newIssuer(t, s), "blind", `{"version":"2.0","statement":[{"effect":"allow",
		"action":["name/cos:PutObject","name/cos:GetObject","name/cos:HeadObject"],"resource":["*"]}]}`)
	st := open(t, config(s, temporary(c)))
	for _, err := range st.History.Versions(t.Context(), "key") {
		if _, reason, _ := explained(t, st, err); !errors.Is(err, vault.ErrPermission) || reason != vault.VersioningUnreadable {
			t.Errorf("history: %v, reason %v", err, reason)
		}
	}
	if _, err := st.Swap.Swap(t.Context(), "key", "tag", value); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("swap: %v, want %v", err, vault.ErrPermission)
	}
	if _, err := st.Put.Put(t.Context(), "key", value); err != nil {
		t.Errorf("put: %v", err)
	}
	_, err := st.Create.Create(t.Context(), "key", value)
	if _, reason, _ := explained(t, st, err); !errors.Is(err, vault.ErrPermission) || reason != vault.VersioningUnreadable {
		t.Errorf("create: %v, reason %v", err, reason)
	}
}

// TestVersioningEnabledLater: a Store detects from the response to a write that COS now ignores
// create-only.
func TestVersioningEnabledLater(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	first, err := st.Create.Create(t.Context(), "key", value)
	if first != "" || err != nil {
		t.Fatalf("create = %q, %v", first, err)
	}
	if err := s.SetVersioning(s.Bucket(), "Enabled"); err != nil {
		t.Fatal(err)
	}
	other := func(w io.Writer) error { _, err := io.WriteString(w, "other"); return err }
	if _, err := st.Create.Create(t.Context(), "key", other); !errors.Is(err, vault.ErrExist) {
		t.Errorf("create of an existing key: %v, want %v", err, vault.ErrExist)
	}
	if id, err := st.Create.Create(t.Context(), "another", other); id == "" || err != nil {
		t.Errorf("create = %q, %v", id, err)
	}
	if got, err := st.Bucket.ReadAll(t.Context(), "key"); string(got) != "value" || err != nil {
		t.Errorf("the object has the value %q, %v", got, err)
	}
	later := open(t, config(s, owner(s)))
	var ids []string
	for v, err := range later.History.Versions(t.Context(), "key") {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	if diff := cmp.Diff([]string{"null"}, ids); diff != "" {
		t.Errorf("versions of a key whose second create was refused (-want +got):\n%s", diff)
	}
}

// TestOptimisticFaults: requests of an optimistic create fail, or their responses are lost.
func TestOptimisticFaults(t *testing.T) {
	for _, tc := range []struct {
		name, action string
		nth          int32 // request of this action
		fault        *costest.Fault
		want         error // result of the create
		exists       bool
	}{
		{"list before the write denied", "GetBucketObjectVersions", 1, costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "")), vault.ErrPermission, false},
		{"write denied", "PutObject", 1, costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "")), vault.ErrPermission, false},
		{"write not applied", "PutObject", 1, costest.DropBefore(), vault.ErrUnavailable, false},
		{"write applied, response lost", "PutObject", 1, costest.DropAfter(), nil, true},
		{"write applied, response 500", "PutObject", 1, costest.ApplyThen(500, costest.ErrorXML("InternalError", "")), nil, true},
		{"list after the write fails once", "GetBucketObjectVersions", 2, costest.RespondBefore(500, costest.ErrorXML("InternalError", "")), nil, true},
		{"list after the write denied", "GetBucketObjectVersions", 2, costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "")), vault.ErrUnsure, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t, &costest.Options{Versioning: "Enabled"})
			st := open(t, config(s, owner(s)))
			var n atomic.Int32
			s.SetRule(func(r *costest.Request) *costest.Fault {
				if r.Action == tc.action && n.Add(1) == tc.nth {
					return tc.fault
				}
				return nil
			})
			_, err := st.Create.Create(t.Context(), "key", value)
			if tc.want == nil && err != nil || tc.want != nil && !isKind(st, err, tc.want) {
				t.Errorf("create: %v, want %v", err, tc.want)
			}
			s.SetRule(nil)
			if exists, err := st.Bucket.Exists(t.Context(), "key"); exists != tc.exists || err != nil {
				t.Errorf("the object exists: %v, %v; want %v", exists, err, tc.exists)
			}
		})
	}
}

// TestOptimisticLoser: another writer writes between the check and the write.
func TestOptimisticLoser(t *testing.T) {
	for _, undone := range []bool{true, false} {
		t.Run(fmt.Sprint("undone ", undone), func(t *testing.T) {
			s := newServer(t, &costest.Options{Versioning: "Enabled"})
			st, other := open(t, config(s, owner(s))), open(t, config(s, owner(s)))
			writeOther := func(w io.Writer) error { _, err := io.WriteString(w, "theirs"); return err }
			var cut atomic.Bool
			var perr error
			s.SetRule(func(r *costest.Request) *costest.Fault {
				switch {
				case r.Action == "PutObject" && cut.CompareAndSwap(false, true):
					_, perr = other.Put.Put(context.Background(), "key", writeOther)
				case r.Action == "DeleteObject" && !undone:
					return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", ""))
				}
				return nil
			})
			_, err := st.Create.Create(t.Context(), "key", value)
			s.SetRule(nil)
			if perr != nil {
				t.Fatal(perr)
			}
			want, holds := vault.ErrExist, "theirs"
			if !undone {
				want, holds = vault.ErrUnsure, "value"
			}
			if !errors.Is(err, want) {
				t.Errorf("create: %v, want %v", err, want)
			}
			if got, err := st.Bucket.ReadAll(t.Context(), "key"); string(got) != holds || err != nil {
				t.Errorf("the object has the value %q, %v; want %q", got, err, holds)
			}
		})
	}
}

// TestLostAnswer: the response to an optimistic write is lost, and another writer writes before or
// after it. The store finds its own version, and returns the correct outcome.
func TestLostAnswer(t *testing.T) {
	writeOther := func(w io.Writer) error { _, err := io.WriteString(w, "other"); return err } // with the same length
	for _, tc := range []struct {
		name   string
		swap   bool
		before bool // the other writer writes between the check and the write
		after  bool // the other writer writes between the write and the read-back
		lag    bool // no list contains the result
		want   error
		holds  string // "" means that the other writer deletes instead
	}{
		{"create", false, false, false, false, nil, "value"},
		{"create, then replaced", false, false, true, false, nil, "other"},
		{"create, then deleted", false, false, true, false, nil, ""},
		{"create after another write", false, true, false, false, vault.ErrExist, "other"},
		{"create after another write, then replaced", false, true, true, false, vault.ErrExist, "other"},
		{"create, then replaced, stale lists", false, false, true, true, vault.ErrUnsure, "other"},
		{"swap", true, false, false, false, nil, "value"},
		{"swap, then replaced", true, false, true, false, nil, "other"},
		{"swap after another write", true, true, false, false, vault.ErrConflict, "other"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &costest.Options{Versioning: "Enabled"})
			st, other := open(t, config(s, owner(s))), open(t, config(s, owner(s)))
			tag := ""
			if tc.swap {
				var err error
				if tag, err = other.Put.Put(t.Context(), "key", value); err != nil {
					t.Fatal(err)
				}
			}
			write := func() {
				if tc.holds == "" {
					if err := other.Bucket.Delete(context.Background(), "key"); err != nil {
						t.Error(err)
					}
					return
				}
				if _, err := other.Put.Put(context.Background(), "key", writeOther); err != nil {
					t.Error(err)
				}
			}
			var puts, looks atomic.Int32
			s.SetRule(func(r *costest.Request) *costest.Fault {
				switch {
				case r.Action == "PutObject" && puts.Add(1) == 1:
					if tc.before {
						write()
					}
					return costest.DropAfter()
				case r.Action == "GetObject" && looks.Add(1) == 1 && tc.after:
					write()
				case r.Action == "GetBucketObjectVersions" && tc.lag && looks.Load() > 0:
					return costest.ApplyThen(200, "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
				}
				return nil
			})
			var err error
			if tc.swap {
				_, err = st.Swap.Swap(t.Context(), "key", tag, value)
			} else {
				_, err = st.Create.Create(t.Context(), "key", value)
			}
			s.SetRule(nil)
			if !errors.Is(err, tc.want) {
				t.Errorf("create or swap: %v, want %v", err, tc.want)
			}
			if got, err := st.Bucket.ReadAll(t.Context(), "key"); string(got) != tc.holds || err != nil && (tc.holds != "" || !isKind(st, err, vault.ErrNotFound)) {
				t.Errorf("the object has the value %q, %v; want %q", got, err, tc.holds)
			}
			ownVersions, all := 0, 0
			for v, err := range st.History.Versions(t.Context(), "key") {
				if err != nil {
					t.Fatal(err)
				}
				if all++; v.Deleted {
					continue
				}
				r, _, err := st.History.OpenVersion(t.Context(), "key", v.ID, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(r); err == nil && string(b) == "value" && v.ID != tag {
					ownVersions++
				}
				r.Close()
			}
			if want := tc.want == nil || tc.want == vault.ErrUnsure; (ownVersions == 1) != want || ownVersions > 1 {
				t.Errorf("%d of %d versions belong to this write, want one: %v", ownVersions, all, want)
			}
		})
	}
}

// TestRemoveReportsEachKey: Remove deletes the permitted keys, and reports the denied one.
func TestRemoveReportsEachKey(t *testing.T) {
	for _, variant := range []string{"key", "call"} {
		t.Run(variant, func(t *testing.T) {
			s := newServer(t, &costest.Options{Unsure: map[string]string{"multi-delete-denied": variant}})
			c := exchanged(t, s, newIssuer(t, s), "some", `{"version":"2.0","statement":[{"effect":"allow",
				"action":["name/cos:DeleteObject"],"resource":["qcs::cos:`+s.Region()+`:uid/1250000000:`+s.Bucket()+`/mine/*"]}]}`)
			st, all := open(t, config(s, temporary(c))), open(t, config(s, owner(s)))
			keys := []string{"mine/a", "theirs/b", "mine/c"}
			for _, key := range keys {
				if _, err := all.Put.Put(t.Context(), key, value); err != nil {
					t.Fatal(err)
				}
			}
			failed, err := st.Remover.Remove(t.Context(), keys)
			if variant == "call" {
				if !isKind(st, err, vault.ErrPermission) {
					t.Errorf("remove: %v, want %v", err, vault.ErrPermission)
				}
				return
			}
			if err != nil || len(failed) != 1 || !errors.Is(failed["theirs/b"], vault.ErrPermission) {
				t.Errorf("remove = %v, %v; want theirs/b denied", failed, err)
			}
			for _, key := range keys {
				if exists, err := all.Bucket.Exists(t.Context(), key); err != nil || exists != (key == "theirs/b") {
					t.Errorf("%s exists: %v, %v", key, exists, err)
				}
			}
		})
	}
}

// TestRefusedAmongMany: if multi-delete refuses an object, the error has the same reason as a
// refused single delete.
func TestRefusedAmongMany(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	for _, tc := range []struct {
		code   string
		want   error
		reason vault.Reason
	}{
		{"AccessDenied", vault.ErrPermission, vault.AccessDenied},
		{"InvalidArgument", vault.ErrRefused, vault.ReasonUnknown},
		{"PreconditionFailed", vault.ErrRefused, vault.ReasonUnknown},
		{"BucketQuotaExceeded", vault.ErrNoSpace, vault.ReasonUnknown},
		{"KmsKeyDisabled", vault.ErrRefused, vault.StoreKey},
		{"SlowDown", vault.ErrBusy, vault.Throttled},
		{"InternalError", vault.ErrUnavailable, vault.ReasonUnknown},
	} {
		s.SetRule(func(r *costest.Request) *costest.Fault {
			return costest.RespondBefore(200, "<DeleteResult><Error><Key>a</Key><Code>"+tc.code+"</Code><Message>no</Message></Error></DeleteResult>")
		})
		failed, err := st.Remover.Remove(t.Context(), []string{"a", "b"})
		var cause *vault.Cause
		if err != nil || len(failed) != 1 || !errors.Is(failed["a"], tc.want) || !errors.As(failed["a"], &cause) || cause.Reason != tc.reason {
			t.Errorf("%s: %v, %v (%+v), want %v, reason %v", tc.code, failed, err, cause, tc.want, tc.reason)
		} else if tc.want == vault.ErrRefused && !strings.HasPrefix(cause.Error(), tc.code+": no (COS multi-delete") {
			t.Errorf("the message is %q, want it to start with the code", cause)
		}
	}
	s.SetRule(nil)
}

// TestRemoveStrangeKeys removes objects whose keys the SDK or COS could change.
func TestRemoveStrangeKeys(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	keys := []string{"a/../b", "a\x01", "a__0xff__", "a<&>'\" b+%", "ä"}
	for _, key := range keys {
		if err := st.Bucket.WriteAll(t.Context(), key, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if failed, err := st.Remover.Remove(t.Context(), keys); err != nil || len(failed) != 0 {
		t.Errorf("remove = %v, %v", failed, err)
	}
	for _, key := range keys {
		if exists, err := st.Bucket.Exists(t.Context(), key); exists || err != nil {
			t.Errorf("%q exists: %v, %v", key, exists, err)
		}
	}
}

// TestExpired: a key expires between requests. After one exchange, every request succeeds.
func TestExpired(t *testing.T) {
	for _, code := range []string{"ExpiredToken", "InvalidAccessKeyId"} {
		t.Run(code, func(t *testing.T) {
			s := newServer(t, &costest.Options{Versioning: "Enabled", Unsure: map[string]string{"expired-token": code}})
			issuer := newIssuer(t, s)
			arn := addRole(t, s, issuer, "vault", `{"version":"2.0","statement":[{"effect":"allow","action":["name/cos:*"],"resource":["*"]}]}`)
			c := config(s, nil)
			c.Identity = federation.NewProvider(sourceOf(mint(t, issuer)), newExchanger(t, s, arn), nil)
			st := open(t, c)
			for what, do := range map[string]func() error{
				"put":    func() error { return second(st.Put.Put(t.Context(), "key", value)) },
				"create": func() error { return second(st.Create.Create(t.Context(), "create", value)) },
				"remove": func() error { return errRemove(t, st, "key", "other") },
				"versions": func() error {
					for _, err := range st.History.Versions(t.Context(), "create") {
						return err
					}
					return nil
				},
			} {
				creds, err := c.Identity.Credentials(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				s.ExpireKey(creds.AccessKeyID)
				s.Reset()
				if err := do(); err != nil {
					t.Errorf("%s with a key that has expired: %v", what, err)
				}
				exchanges := slices.DeleteFunc(s.Requests(), func(r costest.Request) bool { return r.Service != "sts" })
				if len(exchanges) != 1 {
					t.Errorf("%s made %d exchanges, want 1", what, len(exchanges))
				}
			}
		})
	}
}
