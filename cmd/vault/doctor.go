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
		Description: "Checks which features the store supports, and whether its cloud isolates tenants: the cloud must\n" +
			"deny a put, a list and a delete under the prefixes of other tenants. The doctor writes objects\n" +
			"with random names and removes them. It does not touch your names, and needs no key.\n\n" +
			"The doctor needs an object of another tenant to check that it cannot be read. There are two\n" +
			"ways to provide one. --other gives the identity of a second tenant: the doctor stores an object\n" +
			"as each tenant, and then tries every operation as each tenant on the object of the other\n" +
			"tenant. --foreign-key gives the object key (the path in the bucket) of an existing object of\n" +
			"another tenant. If you can read this object, the isolation is broken. A denied read alone proves\n" +
			"nothing, because the cloud also denies reads of missing objects. The isolation is proven only if\n" +
			"the identity of --other can read the object, which shows that the object exists.\n\n" +
			"If each tenant has its own role, as in Tencent Cloud, the doctor checks that the token of\n" +
			"--other cannot assume your role. In this case, set --other-store to the URL of the same bucket\n" +
			"with the role of the second tenant. Also set --other-tenant to the id of the second tenant,\n" +
			"unless the token contains it.\n\n" +
			"The cloud must also deny requests that read without credentials, and requests that list other\n" +
			"tenants' multipart uploads. The doctor does not try to change the policy of the bucket.\n\n" +
			"Each result is ok, warning, fail, ISOLATION BROKEN, not proven or skipped. Only a denied\n" +
			"request proves isolation. The exit code is 1 if any result is fail or ISOLATION BROKEN. If the\n" +
			"store cannot be reached or refuses the credentials, the result is fail. With --json, each\n" +
			"result is an object with check, status, message and hint.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " doctor --quick\n" +
			"   " + s.prog + " doctor --other file:/run/token-of-b --json\n" +
			"   " + s.prog + " doctor --other file:/run/token-of-b --other-tenant b --other-store 'cos://…&role=qcs::cam::uin/UIN:roleName/vault-b'",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "other", Usage: "`SOURCE` of the OIDC token of a second tenant, as for --identity"},
			&cli.StringFlag{Name: "other-tenant", Usage: "`ID` of the second tenant, if its token does not contain it"},
			&cli.StringFlag{Name: "other-store", Usage: "`URL` of the same bucket with the role of the second tenant"},
			&cli.StringFlag{Name: "foreign-key", Usage: "object `KEY` of an existing object of another tenant in the same bucket"},
			&cli.BoolFlag{Name: "quick", Usage: "skip the checks with large objects and with concurrent writes", DisableDefaultText: true},
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
	set.Identity = p.set.Identity // if no identity was named, this may be the machine's
	o := &opened{settings: set}
	d.Keys, err = s.keys(ctx, set, anyKeys, o)
	d.KeysErr = err

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := &lines{u: s.ui, stop: stop}
	if err := s.reportSettings(lines, set, o); err != nil {
		return err
	}
	if err := s.reportSpool(ctx, lines, set); err != nil {
		return err
	}
	if err := s.reportMirrors(ctx, lines, set); err != nil {
		return err
	}
	if err := s.reportSeen(ctx, lines, set); err != nil {
		return err
	}
	s.openDoctorStore(ctx, d, set, p, lines)
	s.openOther(ctx, d, p, second)
	defer d.close()
	if err := s.reportLegacy(ctx, lines, d, set); err != nil {
		return err
	}
	return lines.verdict(ctx, doctor.Run(ctx, &d.Options, lines.report))
}

// newDoctorRun checks the settings and opens nothing. As in every command, invalid settings are an
// error.
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
		d.NoWrites = "the profile limits the names that may be used (scope), so the doctor writes nothing"
	}
	return d, nil
}

// A doctorRun is one run of the doctor, with the stores to close afterwards.
type doctorRun struct {
	doctor.Options
	opened []*vault.Store
}

func (p *doctorRun) close() {
	for _, st := range p.opened {
		st.Close()
	}
}

// largeObject is larger than the size at which the clouds' stores use a multipart upload.
const largeObject = 10 << 20

// openDoctorStore opens the store. The doctor reports the errors.
func (s *session) openDoctorStore(ctx context.Context, d *doctorRun, set config.Settings, p *plan, l *lines) {
	if p.InCloud() {
		d.Isolated, d.Large = true, largeObject
	}
	if p.Dir != "" && s.goos != "windows" { // on Windows, file modes do not show who has access
		d.Directory = func(context.Context) []doctor.Line { return doctor.Directory(p.Dir) }
	}
	// Open the store even if the tenant is not known: a wrong clock may be the reason, and the
	// cloud knows the time.
	store, err := p.open(ctx)
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
	tenant, tenantErr := p.tenant(ctx)
	if tenantErr != nil {
		d.StoreErr = tenantErr
		return
	}
	d.Tenant = tenant
	l.setting("tenant", string(tenant), origin(set.Tenant, p.tenantOrigin()))
	switch {
	case err != nil:
		d.StoreErr = err
	case store.Name != "mem://":
		d.Store, d.Reopen = store, p.open
	case set.Store.Text != "": // otherwise mem:// stands for the default store, which does not exist yet
		d.Store = store
	}
}

// hasNoTenant reports whether the user named neither a tenant nor a second one.
func (s *session) hasNoTenant(set config.Settings) bool {
	return set.Identity.Text == "" && set.Tenant.Text == "" && !s.c.IsSet("other") && !s.c.IsSet("foreign-key")
}

// owner reports whether the credentials belong to the bucket's owner, as far as the cloud reports
// it, and returns a description of the caller. A server without STS has no roles for tenants, so
// its credentials are the owner's.
func owner(ctx context.Context, cloud vault.Cloud) (bool, string) {
	caller, err := cloud.Caller(ctx)
	switch {
	case err != nil:
		return false, "STS did not report the caller: " + explain("doctor", err).Message
	case caller.Session:
		return false, "temporary credentials, which cannot belong to the bucket's owner: " + cmp.Or(caller.ARN, "key "+caller.KeyID)
	case caller.ARN == "":
		return true, "the server has no STS, so it has no roles for tenants"
	}
	if o, ok := cloud.(vault.BucketOwner); ok {
		if owns, err := o.OwnsBucket(ctx, caller); err == nil {
			return owns, caller.ARN
		}
	}
	return false, caller.ARN
}

// tenantOrigin returns the origin of a tenant that the settings do not name.
func (p *plan) tenantOrigin() string {
	switch {
	case p.identity == nil:
		return "default"
	case p.identity.login != nil:
		return "from the login"
	}
	return "from the token, or default"
}

// reportSettings prints the settings of the run and their origins. It shows no secret.
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
			texts = append(texts, shownKey(k.Text))
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
		state := ""
		if !set.Found {
			state = "does not exist"
		}
		l.setting("config", set.File, state)
	}
	l.setting("timeout", set.Timeout.String(), "")
	if set.Deadline.Text != "" {
		l.setting("deadline", set.Deadline.Text, set.Deadline.From)
	}
	l.report(s.firstOnPath())
	return nil
}

// shownStore returns the URL of the store, or of the default store.
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

// origin returns the origin of a setting.
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

// shownURL returns a URL without the secrets that it may contain, also in its parameters.
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
			parameter, err := url.Parse(v)
			secret = secret || err != nil || parameter.User != nil
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

// shownIdentity returns the source of tokens without the parts that may be secret. It shows only
// the program of a command, and only the address of a broker.
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

// hintFor returns the hint for err: the hint for its cause, or else otherwise, or else the hint
// that a command would print for this error.
func hintFor(err error, otherwise string) string {
	var h *hinted
	switch text := reasonHint(err); {
	case errors.As(err, &h):
	case text != "":
		return text
	case otherwise != "":
		return otherwise
	}
	return explain("doctor", err).Hint
}
