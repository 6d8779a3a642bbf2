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
