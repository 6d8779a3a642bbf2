package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// A server is the line that up prints. It has no server fields if there is only an issuer.
type server struct {
	URL     string    `json:"url,omitempty"`
	Region  string    `json:"region,omitempty"`
	Version string    `json:"version,omitempty"`
	PIDs    []int     `json:"pids,omitempty"`
	Owner   keys      `json:"owner,omitzero"` // for versitygw, the root user
	Other   *keys     `json:"other,omitempty"`
	TLSURL  string    `json:"tls_url,omitempty"` // the same server over https, with the certificate in CAFile
	CAFile  string    `json:"ca_file,omitempty"`
	Issuer  *issuer   `json:"issuer,omitempty"`
	Session []session `json:"sessions,omitempty"`
	OpsLog  string    `json:"ops_log,omitempty"` // the path of the log of the requests
	Key     string    `json:"key,omitempty"`     // the ARN of a key of local-kms
}

type keys struct {
	AccessKeyID string `json:"access_key_id"`
	SecretKey   string `json:"secret_key"`
}

type issuer struct {
	URL        string `json:"url"`
	Name       string `json:"name,omitempty"` // the iss of its tokens, if it is not URL
	Audience   string `json:"audience"`
	Thumbprint string `json:"thumbprint"`
	Provider   string `json:"provider,omitempty"` // the ARN of the provider at the server
	Broker     string `json:"broker"`             // the URL of the broker as a token source
}

type session struct {
	Wallet string `json:"wallet"`
	Token  string `json:"token"`
}

type upOptions struct {
	dir      string
	store    string
	day      time.Duration
	wallets  []string
	untagged bool
	untilEOF bool
	opsLog   bool
}

// up starts a server, prints its description, and stops it when ctx ends.
func up(ctx context.Context, w *world, args []string) error {
	var o upOptions
	f := flag.NewFlagSet("up", flag.ContinueOnError)
	f.SetOutput(w.err)
	f.StringVar(&o.dir, "dir", "", "keep data and logs in this empty `directory`")
	f.DurationVar(&o.day, "lifecycle-day", 0, "what a day of a lifecycle rule lasts (rgw, aws)")
	f.BoolVar(&o.opsLog, "ops-log", false, "write a log of the requests (rgw, aws)")
	f.BoolVar(&o.untilEOF, "until-eof", false, "stop when standard input ends")
	f.BoolFunc("bluestore", "keep the data on disk, not in memory (rgw, aws)", func(string) error { o.store = "bluestore"; return nil })
	f.Func("wallet", "a `wallet` that has a session; twice or more for several (aws, issuer)", func(s string) error { o.wallets = append(o.wallets, s); return nil })
	f.BoolVar(&o.untagged, "untagged", false, "mint tokens that have no tags, as most issuers do (issuer)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.untilEOF {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() { io.Copy(io.Discard, w.in); stop() }()
	}
	if len(o.wallets) == 0 {
		o.wallets = []string{"0x" + strings.Repeat("a", 40), "0x" + strings.Repeat("b", 40)}
	}
	switch f.Arg(0) {
	case "rgw":
		return upRGW(ctx, w, o, false)
	case "aws":
		return upRGW(ctx, w, o, true)
	case "versity":
		return upVersity(ctx, w, o)
	case "weed":
		return upWeed(ctx, w, o)
	case "kms":
		return upLocalKMS(ctx, w, o)
	case "issuer":
		var line server
		i := line.issue(o.wallets, "", func(c *testcloud.Claims) {
			if o.untagged {
				*c = testcloud.Claims{Subject: c.Subject}
			}
		})
		defer i.Close()
		return wait(ctx, w, line)
	}
	return fmt.Errorf("no server %q: use rgw, versity, aws, weed, kms or issuer", f.Arg(0))
}

func upRGW(ctx context.Context, w *world, o upOptions, withIssuer bool) (err error) {
	if err := testcloud.InstallRGW(ctx, w.err); err != nil {
		return err
	}
	r, err := testcloud.StartRGW(ctx, &testcloud.RGWOptions{Store: o.store, LifecycleDay: o.day, Dir: o.dir, Log: w.err, OpsLog: o.opsLog})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	other := keys(r.Other)
	opsLog := ""
	if o.opsLog {
		opsLog = r.OpsLog()
	}
	line := server{URL: r.URL, Region: r.Region, Version: r.Version, PIDs: r.PIDs(), Owner: keys(r.Owner), Other: &other, OpsLog: opsLog}
	if withIssuer {
		i := line.issue(o.wallets, "", func(*testcloud.Claims) {})
		defer i.Close()
		if line.Issuer.Provider, err = r.CreateProvider(ctx, i.URL, i.Thumbprint(), testcloud.Audience); err != nil {
			return err
		}
	}
	return wait(ctx, w, line)
}

// issue starts an issuer whose broker has a session for each wallet. The claims are those of an
// agent, modified by change.
func (s *server) issue(wallets []string, name string, change func(*testcloud.Claims)) *testcloud.Issuer {
	sessions := make(map[string]testcloud.Claims)
	for _, wallet := range wallets {
		token := rand.Text()
		claims := testcloud.AgentClaims(wallet)
		change(&claims)
		sessions[token] = claims
		s.Session = append(s.Session, session{wallet, token})
	}
	i := testcloud.NewIssuer(&testcloud.IssuerOptions{Sessions: sessions, Name: name})
	s.Issuer = &issuer{URL: i.URL, Name: name, Audience: testcloud.Audience, Thumbprint: i.Thumbprint(), Broker: "broker+" + i.URL}
	return i
}

// upWeed starts a SeaweedFS and an issuer that it trusts. AWS would accept the name of the issuer.
// Its tokens also contain the tags in the form that SeaweedFS reads.
func upWeed(ctx context.Context, w *world, o upOptions) (err error) {
	if err := testcloud.InstallWeed(ctx, w.err); err != nil {
		return err
	}
	var line server
	i := line.issue(o.wallets, testcloud.WeedIssuer, func(c *testcloud.Claims) { c.FlatTags = true })
	defer i.Close()
	s, err := testcloud.StartWeed(ctx, &testcloud.WeedOptions{Issuer: i, Dir: o.dir, Log: w.err})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	other := keys(s.Other)
	line.URL, line.TLSURL, line.CAFile, line.Region, line.Version, line.PIDs = s.URL, s.TLSURL, s.CAFile, s.Region, s.Version, s.PIDs()
	line.Owner, line.Other, line.Issuer.Provider = keys(s.Owner), &other, s.ProviderARN()
	return wait(ctx, w, line)
}

func upVersity(ctx context.Context, w *world, o upOptions) (err error) {
	if err := testcloud.InstallVersity(ctx, w.err); err != nil {
		return err
	}
	v, err := testcloud.StartVersity(ctx, &testcloud.VersityOptions{Dir: o.dir, Log: w.err})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Stop()) }()
	return wait(ctx, w, server{URL: v.URL, Region: v.Region, Version: v.Version, PIDs: v.PIDs(), Owner: keys(v.Root)})
}

// wait prints line and returns when ctx ends.
func wait(ctx context.Context, w *world, line server) error {
	if err := json.NewEncoder(w.out).Encode(line); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func upLocalKMS(ctx context.Context, w *world, o upOptions) (err error) {
	if err := testcloud.InstallLocalKMS(ctx, w.err); err != nil {
		return err
	}
	k, err := testcloud.StartLocalKMS(ctx, &testcloud.LocalKMSOptions{Dir: o.dir, Log: w.err})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Stop()) }()
	key, err := k.NewKey(ctx)
	if err != nil {
		return err
	}
	return wait(ctx, w, server{URL: k.URL, Region: k.Region, PIDs: k.PIDs(), Key: key})
}
