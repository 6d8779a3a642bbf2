package main

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/vault"
)

func doctorCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "check the store, the identity, the keys and the isolation",
		UsageText: s.prog + " doctor [--other SOURCE [--other-tenant ID] [--other-store URL]] [--foreign-key KEY] [--quick]",
		Description: "Checks which features the store supports, and that its cloud isolates tenants: a put, a list\n" +
			"and a delete under other tenants' prefixes must be denied. The doctor writes objects with\n" +
			"random names and removes them; it does not touch your names, and needs no key.\n\n" +
			"To check that other tenants' objects cannot be read, an object of another tenant is needed.\n" +
			"--other names the identity of a second tenant: it stores an object, and then each tenant tries\n" +
			"every operation on the object of the other. --foreign-key names an existing object: if it can\n" +
			"be read, the isolation is broken; if it is denied, that proves something only if --other sees\n" +
			"the object, because missing objects are denied, too. If each tenant has its own role, as at\n" +
			"Tencent Cloud, the doctor checks that the token of --other cannot assume yours. --other-store\n" +
			"is then the URL of the same bucket with the role of the second tenant, and --other-tenant its\n" +
			"id, unless the token has it.\n\n" +
			"A read without credentials and a list of other tenants' multipart uploads must be denied. The\n" +
			"doctor does not try to change the policy of the bucket.\n\n" +
			"Each result is ok, warning, fail, ISOLATION BROKEN, not proven or skipped. Only a denied\n" +
			"request proves isolation. The exit code is 1 if any result is fail or ISOLATION BROKEN, also\n" +
			"if the store cannot be reached or refuses the credentials. With --json each result is {check,\n" +
			"status, message, hint}.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " doctor --quick\n" +
			"   " + s.prog + " doctor --other file:/run/token-of-b --json\n" +
			"   " + s.prog + " doctor --other file:/run/token-of-b --other-tenant b --other-store 'cos://…&role=qcs::cam::uin/UIN:roleName/vault-b'",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "other", Usage: "identity of a second tenant: `SOURCE` as for --identity"},
			&cli.StringFlag{Name: "other-tenant", Usage: "`ID` of the second tenant, if its token does not name it"},
			&cli.StringFlag{Name: "other-store", Usage: "`URL` of the same bucket with the role of the second tenant"},
			&cli.StringFlag{Name: "foreign-key", Usage: "`KEY` in the bucket of an object of another tenant"},
			&cli.BoolFlag{Name: "quick", Usage: "skip large objects and races", DisableDefaultText: true},
		},
		Action: s.action(s.doctor),
	}
}

func (s *session) doctor(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	for _, name := range []string{"other", "other-tenant", "other-store", "foreign-key"} {
		if s.c.IsSet(name) && s.c.String(name) == "" {
			return usagef("--%s is empty", name)
		}
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	p, err := s.plan(ctx, set)
	if err != nil {
		return err
	}
	second, err := s.second(ctx, set, p)
	if err != nil {
		return err
	}
	d, err := s.newDoctorRun(set)
	if err != nil {
		return err
	}
	set.Identity = p.set.Identity // which may be that of the machine
	o := &opened{settings: set}
	d.Keys, err = s.keys(ctx, set, anyKeys, o)
	d.KeysErr = err

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := &lines{u: s.ui, stop: stop}
	if err := s.reportSettings(lines, set, o); err != nil {
		return err
	}
	s.openDoctorStore(ctx, d, set, p, lines)
	s.introduce(ctx, d, p, second)
	defer d.close()
	return lines.verdict(ctx, doctor.Run(ctx, &d.Options, lines.report))
}

// newDoctorRun checks the settings and opens nothing. Invalid settings are an error, as for every
// command.
func (s *session) newDoctorRun(set config.Settings) (*doctorRun, error) {
	collection, err := vault.ParseCollection(set.Collection.Text)
	if err != nil {
		return nil, from(set.Collection, err)
	}
	if _, err := vault.ParseVaultID(set.VaultID.Text); err != nil {
		return nil, from(set.VaultID, err)
	}
	if _, err := vault.ParseTenant(set.Tenant.Text); err != nil {
		return nil, from(set.Tenant, err)
	}
	if _, err := scope(set); err != nil {
		return nil, err
	}
	d := &doctorRun{Options: doctor.Options{
		Collection: collection, VaultID: set.VaultID.Text,
		Hint: hintFor, ForeignKey: s.c.String("foreign-key"), Quick: s.c.Bool("quick"), Now: s.now,
	}}
	switch {
	case set.ReadOnly:
		d.NoWrites = "the profile is read-only, so the doctor writes nothing"
	case set.Scope != nil:
		d.NoWrites = "the profile has a scope, so the doctor writes nothing"
	}
	return d, nil
}

// A doctorRun is one run of the doctor, with the stores to close after it.
type doctorRun struct {
	doctor.Options
	opened []*vault.Store
}

func (p *doctorRun) close() {
	for _, st := range p.opened {
		st.Close()
	}
}

// largeObject is past the size at which the clouds' stores use a multipart upload.
const largeObject = 9 << 20

// openDoctorStore opens the store. The doctor reports errors.
func (s *session) openDoctorStore(ctx context.Context, d *doctorRun, set config.Settings, p *plan, l *lines) {
	if p.InCloud() {
		d.Isolated, d.Large = true, largeObject
	}
	if p.Dir != "" && s.goos != "windows" { // whose modes say nothing
		d.Directory = func(context.Context) []doctor.Line { return doctor.Directory(p.Dir) }
	}
	store, err := p.open(ctx) // also without a tenant: the cloud knows the time, which may be why
	if err == nil {
		d.opened = append(d.opened, store)
		d.Name, d.Cloud = store.Name, store.Cloud
	}
	switch {
	case p.identity != nil:
		d.Identity = func(ctx context.Context) []doctor.Line { return p.identity.check(ctx, d.Cloud) }
	case p.PerRole && d.Cloud != nil:
		d.Identity = func(ctx context.Context) []doctor.Line { return []doctor.Line{checkKeys(ctx, d.Cloud)} }
	}
	if s.hasNoTenant(set) && (p.Scheme == "s3" || p.Scheme == "cos") && p.identity == nil && d.Cloud != nil {
		d.OwnerCredentials = func(ctx context.Context) (bool, string) { return owner(ctx, d.Cloud) }
	}
	tenant, terr := p.tenant(ctx)
	if terr != nil {
		d.StoreErr = terr
		return
	}
	d.Tenant = tenant
	l.setting("tenant", string(tenant), origin(set.Tenant, p.nameFrom()))
	switch {
	case err != nil:
		d.StoreErr = err
	case store.Name != "mem://":
		d.Store, d.Reopen = store, p.open
	case set.Store.Text != "": // else it is the default, which is not there
		d.Store = store
	}
}

// hasNoTenant reports whether the user named neither a tenant nor a second one.
func (s *session) hasNoTenant(set config.Settings) bool {
	return set.Identity.Text == "" && set.Tenant.Text == "" && !s.c.IsSet("other") && !s.c.IsSet("foreign-key")
}

// owner reports whether the credentials are those of the bucket's owner, as far as the cloud
// says, and whose they are. A server without STS knows no roles that a tenant could have.
func owner(ctx context.Context, cloud vault.Cloud) (bool, string) {
	who, err := cloud.Caller(ctx)
	switch {
	case err != nil:
		return false, "STS did not report the owner: " + explain("doctor", err).Message
	case who.Session:
		return false, "temporary credentials, which are not an owner's: " + cmp.Or(who.ARN, "key "+who.KeyID)
	case who.ARN == "":
		return true, "the server has no STS that reports the owner"
	}
	if o, ok := cloud.(vault.BucketOwner); ok {
		if owns, err := o.OwnsBucket(ctx, who); err == nil {
			return owns, who.ARN
		}
	}
	return false, who.ARN
}

// nameFrom returns where the tenant comes from when none was named.
func (p *plan) nameFrom() string {
	switch {
	case p.identity == nil:
		return "default"
	case p.identity.login != nil:
		return "the login"
	}
	return "the token, or default"
}

// reportSettings says what the run uses, and where that came from. It shows no secret.
func (s *session) reportSettings(l *lines, set config.Settings, o *opened) error {
	store, err := s.shownStore(set)
	if err != nil {
		return err
	}
	l.setting("store", store, origin(set.Store, "default"))
	l.setting("collection", orDefault(set.Collection.Text, string(vault.DefaultCollection)), origin(set.Collection, "default"))
	if set.Identity.Text != "" {
		l.setting("identity", shownIdentity(set.Identity.Text), set.Identity.From)
	}
	keys, where := "local:", "default"
	if len(set.Keys) > 0 {
		var texts []string
		for _, k := range set.Keys {
			texts = append(texts, shownURL(k.Text))
		}
		keys, where = strings.Join(texts, " "), set.Keys[0].From
	}
	if len(o.prints) > 0 {
		keys += ", fingerprint " + strings.Join(o.prints, " and ")
	}
	l.setting("keys", keys, where)
	if set.VaultID.Text != "" {
		l.setting("vault-id", set.VaultID.Text, set.VaultID.From)
	}
	if set.Profile != "" {
		l.setting("profile", set.Profile, "")
	}
	if set.File != "" {
		there := ""
		if !set.Found {
			there = "not there"
		}
		l.setting("config", set.File, there)
	}
	l.setting("timeout", set.Timeout.String(), "")
	if set.Deadline.Text != "" {
		l.setting("deadline", set.Deadline.Text, set.Deadline.From)
	}
	l.report(s.firstOnPath())
	return nil
}

// shownStore is the URL of the store, or of the place where it is by default.
func (s *session) shownStore(set config.Settings) (string, error) {
	if set.Store.Text != "" {
		return shownURL(set.Store.Text), nil
	}
	dir, err := s.places().Store()
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: dir}).String(), nil
}

// origin says where a setting came from.
func origin(v config.Value, otherwise string) string {
	if v.Text == "" {
		return otherwise
	}
	return v.From
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// shownURL is a URL without a password, also in its parameters.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "[not shown]"
	}
	hidden := u.User != nil
	if u.User != nil {
		u.User = url.User("[not-shown]")
	}
	query, err := url.ParseQuery(u.RawQuery)
	secret := err != nil
	for _, values := range query {
		for _, v := range values {
			in, err := url.Parse(v)
			secret = secret || err != nil || in.User != nil
		}
	}
	if secret {
		u.RawQuery, hidden = "[not-shown]", true
	}
	if !hidden {
		return text
	}
	return u.String()
}

// shownIdentity is the source of tokens without what may be a secret: of a command its
// program, of a broker its address.
func shownIdentity(text string) string {
	scheme, rest, _ := strings.Cut(text, ":")
	switch {
	case scheme == "exec":
		program, arguments, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if arguments != "" {
			program += " …"
		}
		return scheme + ":" + program
	case strings.Contains(rest, "//"):
		u, err := url.Parse(text)
		if err != nil {
			return scheme + ":…"
		}
		return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	return text
}

// hintFor returns the hint for err: the one of its cause, otherwise, or the one that the
// command would give.
func hintFor(err error, otherwise string) string {
	var h *hinted
	switch text := reasonHint(err); {
	case errors.As(err, &h):
	case text != "":
		return text
	case otherwise != "":
		return otherwise
	}
	return strings.ReplaceAll(explain("doctor", err).Hint, "{name}", "NAME")
}
