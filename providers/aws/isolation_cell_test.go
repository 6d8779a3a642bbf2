package aws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/objectvault/objectvault/vault"
)

// A place is a key with its owner.
type place struct {
	name string
	own  bool   // the key belongs to the actor, even if it looks like another tenant's
	key  string // key of the object
	list string // a prefix of the key
	// keeper is the client of the owner of the place.
	keeper *s3.Client
	// vault and called are the vault and the name with which the actor uses the place. They are
	// empty if no name leads there.
	vault  *vault.Vault
	called vault.Name

	sealed *member // writes the seed with a vault; nil means that keeper writes it
	empty  bool    // there is no seed

	value   []byte // the stored bytes of the seed
	version string // version of the seed
	upload  string // multipart upload that the keeper has started
}

// places returns places of the actor, places of the others, and places that look like the actor's
// but are not.
func (s *site) places(t *testing.T, actor *member, others ...*member) []*place {
	a, b := "bots/"+string(actor.tenant), "bots/"+string(others[0].tenant)
	list := []*place{
		{name: "own", own: true, key: a + "/credentials/own.enc", list: a + "/credentials/", vault: actor.Vault, called: "own"},
		// S3 has no directories, so these are normal keys of the actor.
		{name: "own, dots", own: true, key: a + "/../" + string(others[0].tenant) + "/credentials/seed.enc", list: a + "/../"},
		{name: "own, percent dots", own: true, key: a + "/credentials/%2e%2e/%2e%2e/" + string(others[0].tenant) + "/credentials/seed.enc", list: a + "/credentials/%2e%2e/"},
		{name: "own, percent slash", own: true, key: a + "/..%2F" + string(others[0].tenant) + "%2Fcredentials%2Fseed.enc", list: a + "/..%2F"},
		{name: "own, gocloud escape", own: true, key: a + "/credentials/__0x2e____0x2e____0x2f__seed.enc", list: a + "/credentials/__0x2e__"},
		{name: "own, slash twice", own: true, key: a + "//credentials/own.enc", list: a + "//"},
		// The same names in the encoding of a vault.
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
	// The other tenant may write this key, whose end looks like a key of the actor.
	list = append(list, &place{name: "other's, dots to own", key: b + "/../" + string(actor.tenant) + "/credentials/own.enc", list: b + "/../", keeper: others[0].raw})
	for _, p := range list {
		if p.own {
			p.keeper = actor.raw
		}
	}
	return list
}

// seed writes an object to a place, and starts a multipart upload there.
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
		if !hasCode(err, "InvalidRequest") {
			t.Errorf("%s: the server should reject such a key (%s), got the error %v", p.name, s.deviations.unkept[p.name], err)
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
			t.Fatalf("%s: the owner reads %d bytes, %v", p.name, len(p.value), err)
		}
	}
	up, err := p.keeper.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &p.key})
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	p.upload = *up.UploadId
}

// verify checks that the object and the multipart upload of the keeper have not changed.
func (p *place) verify(t *testing.T, s *site) {
	t.Helper()
	ctx := t.Context()
	if p.own || s.deviations.unkept[p.name] != "" || s.deviations.letIn[p.name] != nil {
		return
	}
	if !p.empty {
		if got, version, err := s.bytes(ctx, p.keeper, p.key); err != nil || !bytes.Equal(got, p.value) || version != p.version {
			t.Errorf("%s: the owner reads %d bytes of version %s, %v; want %d of %s", p.name, len(got), version, err, len(p.value), p.version)
		}
	}
	if p.keeper == s.owner { // tenants have no permission for this
		parts, err := p.keeper.ListParts(ctx, &s3.ListPartsInput{Bucket: &s.bucket, Key: &p.key, UploadId: &p.upload})
		if err != nil || len(parts.Parts) > 0 {
			t.Errorf("%s: the owner's upload has parts: %v", p.name, err)
		}
	}
	if _, err := p.keeper.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &p.key, UploadId: &p.upload}); err != nil {
		t.Errorf("%s: the owner's upload: %v", p.name, err)
	}
}

// A cell is a verb at a place.
type cell struct {
	ctx context.Context
	*site
	actor *member
	*place
}

func (s *site) cell(t *testing.T, actor *member, p *place) cell {
	return cell{ctx: t.Context(), site: s, actor: actor, place: p}
}

// hasCode reports whether err is an error of the server with this code.
func hasCode(err error, code string) bool { return outcome(err) == code }

// The actor's own keys, for copies and for multi-deletes.
func (c cell) ownKey(name string) string {
	return "bots/" + string(c.actor.tenant) + "/credentials/" + name + ".enc"
}

const ownValue = "what the actor has put"

// prepare writes the object that the verb needs at a place of the actor.
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
		t.Fatalf("the actor's own object: %v", err)
	}
}

func (c cell) put(key, value string) error {
	_, err := c.actor.raw.PutObject(c.ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: strings.NewReader(value)})
	return err
}

// A call is one of the requests of a verb, with its result.
type call struct {
	what string
	err  error
}

type calls []call

func (c *calls) add(what string, err error) { *c = append(*c, call{what, err}) }

// check adds a call that is made only at the actor's own places.
func (c *calls) check(own bool, what string, err error) {
	if own {
		c.add(what, err)
	}
}

// A deviations contains the deviations of a server from AWS in the matrix. The zero value has none.
type deviations struct {
	// unkept contains the places whose keys the server rejects for every caller, with the reason.
	unkept map[string]string
	// letIn contains places of other tenants that the server treats as the actor's own, with the
	// verbs that succeed there.
	letIn map[string][]string
	// cells contains, by "verb, place: call", the error code of the server, or "other" if the error
	// is not an error of the server.
	cells map[string]string
}

const other = "other"

// outcome returns the code of an error of the server.
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

// judge checks the result of a call. At the actor's own places, it must succeed. Elsewhere, the
// gateway must deny it with the right status and code. A known deviation of the server must occur
// exactly.
func (c cell) judge(t *testing.T, verb, api string, call call) {
	t.Helper()
	var answer *awshttp.ResponseError
	var each deniedKeys
	status := 0
	if errors.As(call.err, &answer) {
		status = answer.HTTPStatusCode()
	}
	if want, known := c.deviations.cells[verb+", "+c.name+": "+call.what]; known {
		if code := outcome(call.err); code != want {
			t.Errorf("%s: the known error code is %q, got %q: %v", call.what, want, code, call.err)
		}
		return
	}
	if why := c.deviations.unkept[c.name]; why != "" {
		if status != http.StatusBadRequest && status != http.StatusForbidden && !errors.As(call.err, new(refusedKey)) {
			t.Errorf("%s: %v, want a denial: %s", call.what, call.err, why)
		}
		return
	}
	if slices.Contains(c.deviations.letIn[c.name], call.what) {
		if status == http.StatusForbidden || errors.As(call.err, &each) {
			t.Errorf("%s: the server should allow the call, which is a known deviation, but returned: %v", call.what, call.err)
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
	// The response to a HEAD has no body with a code, and the response to a long PUT may be
	// truncated.
	var e smithy.APIError
	if api == "sdk" && call.what != "HEAD" && (!errors.As(call.err, &e) || e.ErrorCode() != "AccessDenied") {
		t.Errorf("%s: %v, want AccessDenied", call.what, call.err)
	}
}

// deniedKeys are the keys of a multi-delete for which the gateway returned AccessDenied.
type deniedKeys []string

// A refusedKey is a key of a multi-delete for which the server returned another code.
type refusedKey struct{ key, code string }

func (r refusedKey) Error() string { return r.key + ": " + r.code }

func (d deniedKeys) Error() string { return fmt.Sprintf("AccessDenied for %q", []string(d)) }

// A verb is an operation of a tenant at a place, with the SDK's client and with a vault. Some verbs
// do not exist for a vault. The result contains every call. At a place of the actor, it also
// contains a check of the effect.
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
