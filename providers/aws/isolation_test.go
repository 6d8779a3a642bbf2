package aws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// cellsPerActor is how many cells the matrix has for one tenant: 13 verbs of the SDK at
// 26 places, and 10 of a vault at the 6 of them that a vault has names for.
const cellsPerActor = 13*26 + 10*6

// TestIsolation tries every verb at every place, as one tenant, with a vault and with
// the SDK's own client. What is the tenant's own succeeds; everything else is denied by
// the gateway. The others, who put it there, find it as it was.
func TestIsolation(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	for _, versioned := range []bool{false, true} {
		bucket := "plain"
		if versioned {
			bucket = "versioned"
		}
		t.Run(bucket, func(t *testing.T) {
			t.Parallel()
			newSite(t, versioned).isolatesAll(t)
		})
	}
}

// isolatesAll runs the matrix as two tenants.
func (s *site) isolatesAll(t *testing.T) {
	a, b, l := s.join(t, alice), s.join(t, bob), s.join(t, longer)
	t.Run("as alice", func(t *testing.T) { s.isolates(t, a, b, l) })
	t.Run("as longer", func(t *testing.T) { s.isolates(t, l, b, a) })
}

// isolates runs the matrix as actor.
func (s *site) isolates(t *testing.T, actor *member, others ...*member) {
	places := s.places(t, actor, others...)
	for _, p := range places {
		p.seed(t, s)
	}
	var open []string
	for _, p := range places {
		if s.deviations.letIn[p.name] != nil {
			open = append(open, p.list)
		}
	}
	before := s.outside(t, actor.tenant, open...)
	cells := 0
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			for _, p := range places {
				t.Run(p.name, func(t *testing.T) {
					for _, api := range []struct {
						name string
						do   func(cell) calls
						has  bool
					}{{"sdk", v.sdk, true}, {"vault", v.vault, v.vault != nil && p.vault != nil}} {
						if !api.has {
							continue
						}
						t.Run(api.name, func(t *testing.T) {
							cells++
							if p.own && s.deviations.unkept[p.name] != "" {
								if err := s.cell(t, actor, p).put(p.key, ownValue); !is(err, "InvalidRequest") {
									t.Errorf("the server is known not to hold such a key (%s), and says %v", s.deviations.unkept[p.name], err)
								}
								return
							}
							c := s.cell(t, actor, p)
							c.prepare(t, api.name)
							for _, call := range api.do(c) {
								c.judge(t, v.name, api.name, call)
							}
						})
					}
				})
			}
		})
	}
	if cells < cellsPerActor {
		t.Errorf("%d cells ran, want %d", cells, cellsPerActor)
	}
	if diff := cmp.Diff(before, s.outside(t, actor.tenant, open...)); diff != "" {
		t.Errorf("what is not %s's (-before +after):\n%s", actor.tenant, diff)
	}
	for _, p := range places {
		p.verify(t, s)
	}
	for _, o := range others {
		var names []string
		for e, err := range o.List(t.Context(), "") {
			if err != nil {
				t.Fatalf("%s lists its own: %v", o.tenant, err)
			}
			names = append(names, string(e.Name))
		}
		if !slices.Equal(names, []string{"seed"}) {
			t.Errorf("%s finds %q, and made seed alone", o.tenant, names)
		}
		if got, err := read(t.Context(), o.Vault, "seed", nil); err != nil || string(got) != secretOf(o.tenant) {
			t.Errorf("%s reads its own: %d bytes, %v", o.tenant, len(got), err)
		}
	}
}

func secretOf(t vault.Tenant) string { return "the credential of " + string(t) }

// TestHostileNames has names that would lead out of a tenant's place if anybody took
// them for paths. A vault refuses them, and sends nothing.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	proxy := testcloud.NewProxy(s.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	v := newVault(t, open(t, aws.Config{Bucket: s.bucket, Endpoint: proxy.URL, Identity: s.identity(t, alice)}), alice)
	if _, err := s.join(t, bob).Put(t.Context(), "seed", strings.NewReader("sk"), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []vault.Name{
		"../../" + vault.Name(bob) + "/credentials/seed", "..", ".", "../seed", "a/../../seed", "/" + vault.Name(bob) + "/seed",
		"seed/", "a//b", "./seed", "a/./b", "a/..", "", "seed\x00", "seed\n", "\u202eseed",
	} {
		for verb, err := range everyVerbOf(t.Context(), v, name) {
			if !errors.Is(err, vault.ErrInvalidName) {
				t.Errorf("%s of %q: %v, want %v", verb, name, err, vault.ErrInvalidName)
			}
		}
	}
	for _, r := range proxy.Requests() {
		t.Errorf("%v was sent", r)
	}
	// What a listing starts with need not be a name. Whatever it is, it stays below.
	for _, prefix := range []string{"..", "../", "../../" + string(bob) + "/", "../../", "/", "%2e%2e/", "__0x2e____0x2e__/", "*", ""} {
		for e, err := range v.List(t.Context(), prefix) {
			t.Errorf("a listing of %q shows %q, %v", prefix, e.Key, err)
		}
	}
}

// TestDeniedPut has the gateway deny values that do not fit into a connection's buffers.
// It answers before it has read them, and then takes what comes for another request:
// the answer must not get lost, or a vault would not know what became of the value.
func TestDeniedPut(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newSite(t, false)
	v := newVault(t, s.join(t, alice).store, bob)
	for _, size := range []int64{200_000, 1 << 20, 4 << 20} {
		for i := range 20 {
			_, err := v.Put(t.Context(), "seed", noise(uint64(i), size), &vault.PutOptions{Create: i%2 == 1})
			if !errors.Is(err, vault.ErrPermission) || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("put of %d bytes: %v, want %v", size, err, vault.ErrPermission)
			}
		}
	}
}

// TestOwnAbsent has the gateway deny a read of what is not there, for it may not be
// listed without a prefix. It is the tenant's own, so it is reported as not found.
func TestOwnAbsent(t *testing.T) {
	t.Parallel()
	for _, versioned := range []bool{false, true} {
		s := newSite(t, versioned)
		a := s.join(t, alice)
		if _, err := a.Put(t.Context(), "gone", strings.NewReader("sk"), nil); err != nil {
			t.Fatal(err)
		}
		if err := a.Delete(t.Context(), "gone", nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range []vault.Name{"never", "gone"} {
			key := "bots/" + string(alice) + "/credentials/" + string(name) + ".enc"
			_, err := a.raw.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
			var answer *awshttp.ResponseError
			if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusForbidden {
				t.Errorf("versioned %v: the gateway says %v of what is %s, which it was known to deny", versioned, err, name)
			}
			_, errGet := read(t.Context(), a.Vault, name, nil)
			_, errRange := read(t.Context(), a.Vault, name, &vault.GetOptions{Range: &vault.Range{Length: 1}})
			_, errStat := a.Stat(t.Context(), name)
			for verb, err := range map[string]error{"get": errGet, "range": errRange, "stat": errStat} {
				if !errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrPermission) {
					t.Errorf("versioned %v: %s of what is %s: %v, want %v", versioned, verb, name, err, vault.ErrNotFound)
				}
			}
			if _, err := a.Put(t.Context(), name, strings.NewReader("sk"), &vault.PutOptions{IfRevision: 1}); !errors.Is(err, vault.ErrConflict) {
				t.Errorf("versioned %v: put over what is %s: %v, want %v", versioned, name, err, vault.ErrConflict)
			}
		}
		for _, err := range a.History(t.Context(), "never") {
			if !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("versioned %v: history of what never was: %v, want %v", versioned, err, vault.ErrNotFound)
			}
		}
	}
}

// A place is one key, and who it belongs to.
type place struct {
	name string
	own  bool   // the actor's, whatever it looks like
	key  string // of the object there
	list string // a prefix that holds the key
	// keeper is the client of whom the place belongs to.
	keeper *s3.Client
	// vault and called are how the actor reaches the place through a vault over its own
	// store; nil where no name leads there.
	vault  *vault.Vault
	called vault.Name

	sealed *member // puts the seed as a vault does; nil: keeper puts it
	empty  bool    // nothing is seeded

	value   []byte // of the seed, as it is stored
	version string // of the seed
	upload  string // that the keeper has begun
}

// places are the actor's own, those of the others, and those that look as if they were
// the actor's.
func (s *site) places(t *testing.T, actor *member, others ...*member) []*place {
	a, b := "bots/"+string(actor.tenant), "bots/"+string(others[0].tenant)
	list := []*place{
		{name: "own", own: true, key: a + "/credentials/own.enc", list: a + "/credentials/", vault: actor.Vault, called: "own"},
		// S3 has no directories: these are keys of the actor's, and nothing but themselves.
		{name: "own, dots", own: true, key: a + "/../" + string(others[0].tenant) + "/credentials/seed.enc", list: a + "/../"},
		{name: "own, percent dots", own: true, key: a + "/credentials/%2e%2e/%2e%2e/" + string(others[0].tenant) + "/credentials/seed.enc", list: a + "/credentials/%2e%2e/"},
		{name: "own, percent slash", own: true, key: a + "/..%2F" + string(others[0].tenant) + "%2Fcredentials%2Fseed.enc", list: a + "/..%2F"},
		{name: "own, gocloud escape", own: true, key: a + "/credentials/__0x2e____0x2e____0x2f__seed.enc", list: a + "/credentials/__0x2e__"},
		{name: "own, slash twice", own: true, key: a + "//credentials/own.enc", list: a + "//"},
		// And the same as a vault writes them.
		{name: "own, a name of percent dots", own: true, key: a + "/credentials/%252e%252e/seed.enc", list: a + "/credentials/", vault: actor.Vault, called: "%2e%2e/seed"},
		{name: "own, a name of gocloud escapes", own: true, key: a + "/credentials/_%5F0x2e_%5F_%5F0x2f_%5Fseed.enc", list: a + "/credentials/", vault: actor.Vault, called: "__0x2e____0x2f__seed"},
	}
	for i, o := range others {
		name := []string{"other's", "alike"}[i]
		key := "bots/" + string(o.tenant) + "/credentials/"
		list = append(list, &place{name: name, key: key + "seed.enc", list: key, keeper: o.raw, sealed: o, vault: newVault(t, actor.store, o.tenant), called: "seed"})
	}
	list = append(list, &place{
		name: "other's, absent", key: b + "/credentials/absent.enc", list: b + "/", keeper: others[0].raw, empty: true,
		vault: newVault(t, actor.store, others[0].tenant), called: "absent",
	})
	for _, p := range []*place{
		{name: "root", key: "seed.enc", list: ""},
		{name: "above the tenants", key: "bots/seed.enc", list: "bots/"},
		{name: "own id, no slash", key: a + "-seed.enc", list: a},
		{name: "own id, star", key: a + "*/credentials/seed.enc", list: a + "*/"},
		{name: "own id, question mark", key: a + "?/credentials/seed.enc", list: a + "?/"},
		{name: "a star", key: "bots/*/credentials/seed.enc", list: "bots/*/"},
		{name: "own id, upper case", key: "bots/" + strings.ToUpper(string(actor.tenant)) + "/credentials/seed.enc", list: "bots/" + strings.ToUpper(string(actor.tenant)) + "/"},
		{name: "own id, percent slash", key: a + "%2Fcredentials%2Fseed.enc", list: a + "%2F"},
		{name: "own id, gocloud escape", key: a + "__0x2f__credentials/seed.enc", list: a + "__0x2f__"},
		{name: "all percent", key: url.PathEscape(b+"/credentials/") + "seed.enc", list: url.PathEscape(b + "/")},
		{name: "other's, gocloud", key: b + "__0x2f__credentials/seed.enc", list: b + "__0x2f__"},
		{name: "dots before", key: "../" + a + "/credentials/seed.enc", list: "../"},
		{name: "dots to own", key: "bots/../" + a + "/credentials/seed.enc", list: "bots/../" + a + "/"},
		{name: "backslashes", key: strings.ReplaceAll(a, "/", `\`) + `\seed.enc`, list: strings.ReplaceAll(a, "/", `\`)},
	} {
		p.keeper = s.owner
		list = append(list, p)
	}
	// The other one may write this, and the end of it is the actor's own.
	list = append(list, &place{name: "other's, dots to own", key: b + "/../" + string(actor.tenant) + "/credentials/own.enc", list: b + "/../", keeper: others[0].raw})
	for _, p := range list {
		if p.own {
			p.keeper = actor.raw
		}
	}
	return list
}

// seed puts something where others are, and begins an upload there.
func (p *place) seed(t *testing.T, s *site) {
	t.Helper()
	ctx := t.Context()
	if p.own {
		return
	}
	switch {
	case p.empty:
	case p.sealed != nil:
		if _, err := p.sealed.Put(ctx, p.called, strings.NewReader(secretOf(p.sealed.tenant)), nil); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	case s.deviations.unkept[p.name] != "":
		p.empty = true
		_, err := p.keeper.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &p.key, Body: strings.NewReader("what is at " + p.key)})
		if !is(err, "InvalidRequest") {
			t.Errorf("%s: the server is known not to hold such a key (%s), and says %v", p.name, s.deviations.unkept[p.name], err)
		}
		return
	default:
		if _, err := p.keeper.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &p.key, Body: strings.NewReader("what is at " + p.key)}); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	}
	p.version = "null"
	if !p.empty {
		var err error
		if p.value, p.version, err = s.bytes(ctx, p.keeper, p.key); err != nil || len(p.value) == 0 {
			t.Fatalf("%s: its keeper reads %d bytes, %v", p.name, len(p.value), err)
		}
	}
	up, err := p.keeper.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &p.key})
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	p.upload = *up.UploadId
}

// verify has the keeper of a place find everything as it left it, the upload included.
func (p *place) verify(t *testing.T, s *site) {
	t.Helper()
	ctx := t.Context()
	if p.own || s.deviations.unkept[p.name] != "" || s.deviations.letIn[p.name] != nil {
		return
	}
	if !p.empty {
		if got, version, err := s.bytes(ctx, p.keeper, p.key); err != nil || !bytes.Equal(got, p.value) || version != p.version {
			t.Errorf("%s: its keeper reads %d bytes of version %s, %v; want %d of %s", p.name, len(got), version, err, len(p.value), p.version)
		}
	}
	if p.keeper == s.owner { // tenants may not ask
		parts, err := p.keeper.ListParts(ctx, &s3.ListPartsInput{Bucket: &s.bucket, Key: &p.key, UploadId: &p.upload})
		if err != nil || len(parts.Parts) > 0 {
			t.Errorf("%s: the upload of its keeper has other parts than none: %v", p.name, err)
		}
	}
	if _, err := p.keeper.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &p.key, UploadId: &p.upload}); err != nil {
		t.Errorf("%s: the upload of its keeper: %v", p.name, err)
	}
}

// A cell is one verb at one place.
type cell struct {
	ctx context.Context
	*site
	actor *member
	*place
}

func (s *site) cell(t *testing.T, actor *member, p *place) cell {
	return cell{ctx: t.Context(), site: s, actor: actor, place: p}
}

// is reports whether the server said that code.
func is(err error, code string) bool { return outcome(err) == code }

// The actor's own, to copy from and to, and to delete with another.
func (c cell) ownKey(name string) string {
	return "bots/" + string(c.actor.tenant) + "/credentials/" + name + ".enc"
}

const ownValue = "what the actor has put"

// prepare puts what the verb is to find at a place of the actor's own.
func (c cell) prepare(t *testing.T, api string) {
	t.Helper()
	if !c.own {
		return
	}
	var err error
	if api == "vault" {
		_, err = c.vault.Put(c.ctx, c.called, strings.NewReader(ownValue), nil)
	} else {
		err = c.put(c.key, ownValue)
	}
	if err != nil {
		t.Fatalf("the actor's own: %v", err)
	}
}

func (c cell) put(key, value string) error {
	_, err := c.actor.raw.PutObject(c.ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: strings.NewReader(value)})
	return err
}

// A call is one of the requests that a verb consists of, and what became of it.
type call struct {
	what string
	err  error
}

type calls []call

func (c *calls) add(what string, err error) { *c = append(*c, call{what, err}) }

// check adds a call that only an own place has.
func (c *calls) check(own bool, what string, err error) {
	if own {
		c.add(what, err)
	}
}

// The deviations of a server from AWS, as the matrix meets them. The zero value is those of a
// server that has none.
type deviations struct {
	// unkept has the places whose keys the server refuses from every caller, and why.
	unkept map[string]string
	// letIn has the places of others that the server takes for the actor's own, and what it
	// lets the actor do there.
	letIn map[string][]string
	// cells has by "verb, place: call" the code that the SDK gets, or other for
	// is no error of the server.
	cells map[string]string
}

const other = "other"

// outcome is the code of an error of the server.
func outcome(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorCode()
	}
	return other
}

// judge has everything succeed that is the actor's own, and everything else be denied:
// by the gateway, with the status and the code that say so. Where the server is known to do
// something else, it has to do just that.
func (c cell) judge(t *testing.T, verb, api string, call call) {
	t.Helper()
	var answer *awshttp.ResponseError
	var each deniedKeys
	status := 0
	if errors.As(call.err, &answer) {
		status = answer.HTTPStatusCode()
	}
	if want, known := c.deviations.cells[verb+", "+c.name+": "+call.what]; known {
		if is := outcome(call.err); is != want {
			t.Errorf("%s is known to be answered with %q, and is with %q: %v", call.what, want, is, call.err)
		}
		return
	}
	if why := c.deviations.unkept[c.name]; why != "" {
		if status != http.StatusBadRequest && status != http.StatusForbidden && !errors.As(call.err, new(refusedKey)) {
			t.Errorf("%s: %v, want a refusal: %s", call.what, call.err, why)
		}
		return
	}
	if slices.Contains(c.deviations.letIn[c.name], call.what) {
		if status == http.StatusForbidden || errors.As(call.err, &each) {
			t.Errorf("%s: the server is known to let the actor in, and now does not: %v", call.what, call.err)
		}
		return
	}
	if c.own {
		if call.err != nil {
			t.Errorf("%s: %v", call.what, call.err)
		}
		return
	}
	if api == "vault" {
		if !errors.Is(call.err, vault.ErrPermission) || errors.Is(call.err, vault.ErrNotFound) || errors.Is(call.err, vault.ErrUnsure) {
			t.Errorf("%s: %v, want %v", call.what, call.err, vault.ErrPermission)
		}
	}
	if errors.As(call.err, &each) {
		return
	}
	if status != http.StatusForbidden {
		t.Errorf("%s: %v, want %d from the gateway", call.what, call.err, http.StatusForbidden)
	}
	// The answer to a HEAD has no body to say it in, and that to a long PUT is cut.
	var e smithy.APIError
	if api == "sdk" && call.what != "HEAD" && (!errors.As(call.err, &e) || e.ErrorCode() != "AccessDenied") {
		t.Errorf("%s: %v, want AccessDenied", call.what, call.err)
	}
}

// deniedKeys are those of a multi-delete that the gateway answered with AccessDenied.
type deniedKeys []string

// A refusedKey is one of a multi-delete that the server answered with another code.
type refusedKey struct{ key, code string }

func (r refusedKey) Error() string { return r.key + ": " + r.code }

func (d deniedKeys) Error() string { return fmt.Sprintf("AccessDenied for %q", []string(d)) }

// A verb is what a tenant does at a place, with the SDK's client and with a vault,
// which may have no such verb. Every call that it makes is in the result; at an own
// place also what came of it.
type verb struct {
	name       string
	sdk, vault func(cell) calls
}

var verbs = []verb{
	{"put", sdkPut, vaultPut}, {"create", sdkCreate, vaultCreate},
	{"get", sdkGet, vaultGet}, {"range", sdkRange, vaultRange}, {"stat", sdkStat, vaultStat},
	{"list", sdkList, vaultList}, {"history", sdkHistory, vaultHistory},
	{"multipart", sdkMultipart, vaultMultipart},
	{"copy from", sdkCopyFrom, nil}, {"copy to", sdkCopyTo, nil},
	{"delete", sdkDelete, vaultDelete}, {"multi-delete", sdkMultiDelete, nil}, {"teardown", sdkTeardown, vaultTeardown},
}

// holds reads a key of the actor's own.
func (c cell) holds(key, want string) error {
	got, _, err := c.bytes(c.ctx, c.actor.raw, key)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s holds something else", key)
	}
	return err
}

// listed reports whether a key is in a listing of the actor's.
func (c cell) listed(key string) (bool, error) {
	out, err := c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &c.list})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(out.Contents, func(o types.Object) bool { return *o.Key == key }), nil
}

func (c cell) isListed(want bool) error {
	there, err := c.listed(c.key)
	if err == nil && there != want {
		err = fmt.Errorf("listed: %v, want %v", there, want)
	}
	return err
}

func sdkPut(c cell) (all calls) {
	all.add("PUT", c.put(c.key, "new"))
	all.check(c.own, "read back", c.holds(c.key, "new"))
	return all
}

func sdkCreate(c cell) (all calls) {
	key := c.key
	if c.own {
		key = strings.TrimSuffix(key, ".enc") + "-created-by-the-sdk.enc"
	}
	_, err := c.actor.raw.PutObject(c.ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, IfNoneMatch: awssdk.String("*"), Body: strings.NewReader("created")})
	all.add("PUT", err)
	all.check(c.own, "read back", c.holds(key, "created"))
	return all
}

func sdkGet(c cell) (all calls) {
	got, _, err := c.bytes(c.ctx, c.actor.raw, c.key)
	if c.own && err == nil && string(got) != ownValue {
		err = errors.New("another value")
	}
	all.add("GET", err)
	return all
}

func sdkRange(c cell) (all calls) {
	out, err := c.actor.raw.GetObject(c.ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &c.key, Range: awssdk.String("bytes=5-7")})
	if err == nil {
		defer out.Body.Close()
		var got []byte
		if got, err = io.ReadAll(out.Body); err == nil && string(got) != ownValue[5:8] {
			err = errors.New("another value")
		}
	}
	all.add("GET", err)
	return all
}

func sdkStat(c cell) (all calls) {
	out, err := c.actor.raw.HeadObject(c.ctx, &s3.HeadObjectInput{Bucket: &c.bucket, Key: &c.key})
	if err == nil && *out.ContentLength != int64(len(ownValue)) {
		err = errors.New("another length")
	}
	all.add("HEAD", err)
	return all
}

func sdkList(c cell) (all calls) {
	for _, prefix := range []string{c.list, c.key} {
		_, err := c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &prefix})
		all.add("list", err)
		_, err = c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &prefix, Delimiter: awssdk.String("/")})
		all.add("list of directories", err)
		_, err = c.actor.raw.ListObjects(c.ctx, &s3.ListObjectsInput{Bucket: &c.bucket, Prefix: &prefix})
		all.add("list, the old form", err)
		if !c.own {
			_, err = c.actor.raw.ListMultipartUploads(c.ctx, &s3.ListMultipartUploadsInput{Bucket: &c.bucket, Prefix: &prefix})
			all.add("list of uploads", err)
		}
	}
	all.check(c.own, "is listed", c.isListed(true))
	return all
}

func sdkHistory(c cell) (all calls) {
	out, err := c.actor.raw.ListObjectVersions(c.ctx, &s3.ListObjectVersionsInput{Bucket: &c.bucket, Prefix: &c.key})
	all.add("list of versions", err)
	version := c.version
	if c.own {
		if err == nil && len(out.Versions) == 0 {
			err = errors.New("it has none")
		}
		if all.add("its own version", err); err != nil {
			return all
		}
		version = *out.Versions[0].VersionId
	} else {
		_, err = c.actor.raw.ListObjectVersions(c.ctx, &s3.ListObjectVersionsInput{Bucket: &c.bucket, Prefix: &c.list})
		all.add("list of versions", err)
		_, err = c.actor.raw.DeleteObject(c.ctx, &s3.DeleteObjectInput{Bucket: &c.bucket, Key: &c.key, VersionId: &version})
		all.add("DELETE of a version", err)
	}
	got, err := c.actor.raw.GetObject(c.ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &c.key, VersionId: &version})
	if err == nil {
		got.Body.Close()
	}
	all.add("GET of a version", err)
	return all
}

func sdkMultipart(c cell) (all calls) {
	client, part := c.actor.raw, awssdk.Int32(1)
	up, err := client.CreateMultipartUpload(c.ctx, &s3.CreateMultipartUploadInput{Bucket: &c.bucket, Key: &c.key})
	all.add("begin", err)
	upload := &c.upload // of the keeper
	if c.own && err == nil {
		upload = up.UploadId
	}
	sent, err := client.UploadPart(c.ctx, &s3.UploadPartInput{Bucket: &c.bucket, Key: &c.key, UploadId: upload, PartNumber: part, Body: strings.NewReader("in parts")})
	all.add("part", err)
	etag := awssdk.String(`"0123456789abcdef0123456789abcdef"`)
	if err == nil {
		etag = sent.ETag
	}
	_, err = client.CompleteMultipartUpload(c.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &c.bucket, Key: &c.key, UploadId: upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: etag, PartNumber: part}}},
	})
	all.add("complete", err)
	if c.own {
		all.add("read back", c.holds(c.key, "in parts"))
		return all
	}
	_, err = client.ListParts(c.ctx, &s3.ListPartsInput{Bucket: &c.bucket, Key: &c.key, UploadId: upload})
	all.add("list of parts", err)
	_, err = client.AbortMultipartUpload(c.ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &c.key, UploadId: upload})
	all.add("abort", err)
	return all
}

// source names an object to copy from, which is written as in a URL.
func (c cell) source(key string) *string {
	return awssdk.String(c.bucket + "/" + url.PathEscape(key))
}

func sdkCopyFrom(c cell) (all calls) {
	copied, client := c.ownKey("copied"), c.actor.raw
	_, err := client.CopyObject(c.ctx, &s3.CopyObjectInput{Bucket: &c.bucket, Key: &copied, CopySource: c.source(c.key)})
	all.add("copy", err)
	if c.own { // of which the gateway allows a role no copy in parts
		all.add("read back", c.holds(copied, ownValue))
		return all
	}
	up, err := client.CreateMultipartUpload(c.ctx, &s3.CreateMultipartUploadInput{Bucket: &c.bucket, Key: &copied})
	if err != nil {
		all.add("begin of its own", err)
		return all
	}
	_, err = client.UploadPartCopy(c.ctx, &s3.UploadPartCopyInput{Bucket: &c.bucket, Key: &copied, UploadId: up.UploadId, PartNumber: awssdk.Int32(1), CopySource: c.source(c.key)})
	all.add("copy of a part", err)
	if _, err := client.AbortMultipartUpload(c.ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &copied, UploadId: up.UploadId}); err != nil {
		all.add("abort of its own", err)
	}
	return all
}

func sdkCopyTo(c cell) (all calls) {
	original := c.ownKey("original")
	if err := c.put(original, "copied"); err != nil {
		return calls{{"put of its own", err}}
	}
	_, err := c.actor.raw.CopyObject(c.ctx, &s3.CopyObjectInput{Bucket: &c.bucket, Key: &c.key, CopySource: c.source(original)})
	all.add("copy", err)
	all.check(c.own, "read back", c.holds(c.key, "copied"))
	return all
}

func sdkDelete(c cell) (all calls) {
	_, err := c.actor.raw.DeleteObject(c.ctx, &s3.DeleteObjectInput{Bucket: &c.bucket, Key: &c.key})
	all.add("DELETE", err)
	all.check(c.own, "is gone", c.isListed(false))
	return all
}

// remove deletes several at once. What is the actor's own has to go, and each of the
// others has to be denied, or else the whole.
func (c cell) remove(keys ...string) error {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
	}
	out, err := c.actor.raw.DeleteObjects(c.ctx, &s3.DeleteObjectsInput{Bucket: &c.bucket, Delete: &types.Delete{Objects: objects}})
	if err != nil {
		return err
	}
	var denied deniedKeys
	for _, e := range out.Errors {
		if *e.Code != "AccessDenied" {
			return refusedKey{*e.Key, *e.Code}
		}
		denied = append(denied, *e.Key)
	}
	for _, key := range keys {
		if own := strings.HasPrefix(key, "bots/"+string(c.actor.tenant)+"/"); own == slices.Contains(denied, key) {
			return fmt.Errorf("%s: denied: %v", key, !own)
		}
	}
	if denied == nil {
		return nil
	}
	return denied
}

func sdkMultiDelete(c cell) (all calls) {
	beside := c.ownKey("beside")
	if err := c.put(beside, "own"); err != nil {
		return calls{{"put of its own", err}}
	}
	all.add("with one of its own", c.remove(beside, c.key))
	if !c.own {
		all.add("alone", c.remove(c.key))
		all.add("first", c.remove(c.key, beside))
	}
	all.check(c.own, "is gone", c.isListed(false))
	return all
}

func sdkTeardown(c cell) (all calls) {
	out, err := c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &c.list})
	all.add("list", err)
	keys := []string{c.key, c.list + "more.enc"}
	if err == nil {
		for _, o := range out.Contents {
			keys = append(keys, *o.Key)
		}
	}
	all.add("delete", c.remove(keys...))
	all.check(c.own, "is gone", c.isListed(false))
	return all
}

// read reads a value to its end.
func read(ctx context.Context, v *vault.Vault, name vault.Name, o *vault.GetOptions) ([]byte, error) {
	r, err := v.Get(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (c cell) opens(want string) error {
	got, err := read(c.ctx, c.vault, c.called, nil)
	if err == nil && string(got) != want {
		err = errors.New("another value")
	}
	return err
}

func (c cell) isGone() error {
	if _, err := c.vault.Stat(c.ctx, c.called); !errors.Is(err, vault.ErrNotFound) {
		return fmt.Errorf("stat of what was removed: %v", err)
	}
	return nil
}

func vaultPut(c cell) (all calls) {
	for _, size := range []int{100, 100_000} { // longer ones: TestDeniedPut
		value := strings.Repeat("v", size)
		_, err := c.vault.Put(c.ctx, c.called, strings.NewReader(value), nil)
		all.add(fmt.Sprint("put of ", size), err)
		all.check(c.own, "read back", c.opens(value))
	}
	return all
}

func vaultCreate(c cell) (all calls) {
	name := c.called
	if c.own {
		name += "-created"
	}
	_, err := c.vault.Put(c.ctx, name, strings.NewReader("created"), &vault.PutOptions{Create: true})
	all.add("create", err)
	c.called = name
	all.check(c.own, "read back", c.opens("created"))
	return all
}

func vaultGet(c cell) (all calls) {
	all.add("get", c.opens(ownValue))
	return all
}

func vaultRange(c cell) (all calls) {
	got, err := read(c.ctx, c.vault, c.called, &vault.GetOptions{Range: &vault.Range{Offset: 5, Length: 3}})
	if err == nil && string(got) != ownValue[5:8] {
		err = errors.New("another value")
	}
	all.add("range", err)
	return all
}

func vaultStat(c cell) (all calls) {
	info, err := c.vault.Stat(c.ctx, c.called)
	if err == nil && info.Size != int64(len(ownValue)) {
		err = errors.New("another length")
	}
	all.add("stat", err)
	return all
}

func vaultList(c cell) (all calls) {
	for _, prefix := range []string{"", string(c.called)} {
		found := false
		var err error
		for e, lerr := range c.vault.List(c.ctx, prefix) {
			found, err = found || e.Name == c.called, lerr
		}
		all.add("list", err)
		if c.own && !found {
			all.add("list", errors.New("its own is not in it"))
		}
	}
	return all
}

func vaultHistory(c cell) (all calls) {
	n := 0
	var err error
	for _, herr := range c.vault.History(c.ctx, c.called) {
		n, err = n+1, herr
	}
	if err == nil && n == 0 {
		err = errors.New("none")
	}
	all.add("history", err)
	_, err = read(c.ctx, c.vault, c.called, &vault.GetOptions{Version: "@1"})
	all.add("get of a version", err)
	_, err = c.vault.Rollback(c.ctx, c.called, "@1")
	all.add("rollback", err)
	return all
}

func vaultMultipart(c cell) (all calls) {
	const size = 9 << 20
	for _, o := range []*vault.PutOptions{nil, {Create: true}} {
		if c.own && o != nil {
			continue // it is there now
		}
		_, err := c.vault.Put(c.ctx, c.called, noise(1, size), o)
		all.add("put in parts", err)
	}
	if c.own {
		got, err := read(c.ctx, c.vault, c.called, nil)
		want, _ := io.ReadAll(noise(1, size))
		if err == nil && !bytes.Equal(got, want) {
			err = errors.New("another value")
		}
		all.add("read back", err)
	}
	return all
}

func vaultDelete(c cell) (all calls) {
	all.add("delete", c.vault.Delete(c.ctx, c.called, nil))
	all.check(c.own, "is gone", c.isGone())
	return all
}

func vaultTeardown(c cell) (all calls) {
	for _, o := range []*vault.TeardownOptions{nil, {AllCollections: !c.own}} {
		_, err := c.vault.Teardown(c.ctx, o)
		all.add("teardown", err)
	}
	all.check(c.own, "is gone", c.isGone())
	return all
}
