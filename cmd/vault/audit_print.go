package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// An auditPrinter prints the records that are selected. The remarks depend on all records of the range.
type auditPrinter struct {
	*auditing
	table *columns
	known []string
	seen  auditSeen
}

func (a *auditing) newAuditPrinter(known []string) *auditPrinter {
	return &auditPrinter{auditing: a, known: known, seen: newAuditSeen(), table: a.columns("lllllllrllLL",
		"TIME", "TENANT", "CALLER", "VERB", "COLLECTION", "NAME", "VERSION", "BYTES", "ADDRESS", "AGENT", "RESULT", "REMARKS")}
}

// An accessLine is a line of audit --json.
type accessLine struct {
	Time        *time.Time       `json:"time"`
	Tenant      vault.Tenant     `json:"tenant,omitempty"`
	Collection  vault.Collection `json:"collection,omitempty"`
	Name        vault.Name       `json:"name,omitempty"`
	Verb        audit.Verb       `json:"verb"`
	Operation   string           `json:"operation,omitempty"`
	Bucket      string           `json:"bucket,omitempty"`
	Key         string           `json:"key,omitempty"`
	Foreign     bool             `json:"foreign,omitempty"` // the key is not that of an object of a vault
	Prefix      string           `json:"prefix,omitempty"`  // of a list
	Version     string           `json:"version,omitempty"`
	Bytes       int64            `json:"bytes,omitempty"`
	Principal   string           `json:"principal,omitempty"`
	Session     string           `json:"session,omitempty"`
	Subject     string           `json:"subject,omitempty"`
	AccessKeyID string           `json:"access_key_id,omitempty"`
	Address     string           `json:"address,omitempty"`
	UserAgent   string           `json:"user_agent,omitempty"`
	Status      int              `json:"status,omitempty"`
	Code        string           `json:"error_code,omitempty"`
	Denied      bool             `json:"denied"`
	Failed      bool             `json:"failed"`
	Ambiguous   bool             `json:"ambiguous,omitempty"` // without a status, the result is unknown
	RequestID   string           `json:"request_id,omitempty"`
	Remarks     []string         `json:"remarks,omitempty"`
	Dialect     audit.Dialect    `json:"dialect"`
	VaultOp     string           `json:"vault_op,omitempty"` // the operation of vault that sent the request, by its log
}

// add is called for each record of the range.
func (p *auditPrinter) add(r audit.Record) error {
	remarks := p.seen.remarks(r, p.known)
	op, known := p.client.match(r)
	if known && op == "" {
		remarks = append(remarks, "not-vault")
	}
	if !p.selects(r) {
		if p.tenant != "" && p.name == "" && r.Tenant == "" && r.Key == "" && !p.concerns(r) {
			if p.NoTenant++; r.Denied {
				p.NoTenantDenied++
			}
		}
		return nil
	}
	p.Shown++
	if p.json {
		return p.print(accessLine{
			Time: utc(r.Time), Tenant: r.Tenant, Collection: r.Collection, Name: r.Name, Verb: r.Verb, Operation: r.Operation,
			Bucket: r.Bucket, Key: r.Key, Foreign: r.Key != "" && !r.Object, Prefix: r.Prefix, Version: r.Version, Bytes: r.Bytes,
			Principal: r.Principal, Session: r.Session, Subject: r.Subject, AccessKeyID: r.AccessKeyID, Address: r.Address,
			UserAgent: r.UserAgent, Status: r.Status, Code: r.Code, Denied: r.Denied, Failed: r.Failed(), Ambiguous: r.Ambiguous,
			RequestID: r.RequestID, Remarks: remarks, Dialect: r.Dialect, VaultOp: op,
		})
	}
	name, bytes, agent := string(r.Name), "", r.UserAgent
	switch {
	case r.Key != "" && !r.Object:
		name = "(foreign) " + r.Key
	case r.Prefix != "":
		name = "(list) " + r.Prefix
	}
	if r.Bytes > 0 {
		bytes = fmt.Sprint(r.Bytes)
	}
	caller := callerOf(r)
	if p.outTTY {
		agent, caller = shortened(agent, 20), withoutPartition(caller)
		if r.Bytes > 0 {
			bytes = size(r.Bytes)
		}
	}
	return p.table.addEmphasized(remarksEmphasis(remarks), timestamp(r.Time), string(r.Tenant), caller, string(r.Verb), string(r.Collection), name, r.Version, bytes,
		r.Address, agent, resultOf(r), strings.Join(remarks, " "))
}

func (p *auditPrinter) flush() error { return p.table.flush() }

// remarksEmphasis returns the emphasis of a line with these remarks.
func remarksEmphasis(remarks []string) emphasis {
	switch {
	case slices.Contains(remarks, "denied"), slices.Contains(remarks, "other-tenant"):
		return alarming
	case len(remarks) > 0:
		return notable
	}
	return noEmphasis
}

// callerOf returns the principal and the session.
func callerOf(r audit.Record) string {
	switch {
	case r.Principal == "" && r.AccessKeyID != "":
		return "key " + r.AccessKeyID
	case r.Session != "":
		return r.Principal + "/" + r.Session
	}
	return r.Principal
}

// withoutPartition shortens an ARN to the account and the role or user.
func withoutPartition(caller string) string {
	if parts := strings.SplitN(caller, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return strings.TrimPrefix(parts[4]+":"+parts[5], ":")
	}
	return caller
}

func resultOf(r audit.Record) string {
	if r.Ambiguous && r.Status == 0 && r.Code == "" {
		return "unknown"
	}
	if !r.Failed() {
		return "ok"
	}
	words := []string{"failed"}
	if r.Denied {
		words[0] = "denied"
	}
	if r.Status != 0 {
		words = append(words, fmt.Sprint(r.Status))
	}
	if r.Code != "" {
		words = append(words, r.Code)
	}
	return strings.Join(words, " ")
}

func shortened(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// An auditSeen is what the records before have shown.
type auditSeen struct {
	homes     map[string]vault.Tenant // the only tenant whose objects a caller has used; "*": several
	addresses map[vault.Tenant]map[string]bool
	entries   int
}

// maxAuditSeen limits the memory. Later callers and addresses are not remembered.
const maxAuditSeen = 200_000

func newAuditSeen() auditSeen {
	return auditSeen{homes: make(map[string]vault.Tenant), addresses: make(map[vault.Tenant]map[string]bool)}
}

// remarks returns the remarks on a record, and remembers it.
func (s *auditSeen) remarks(r audit.Record, known []string) (all []string) {
	if r.Denied {
		all = append(all, "denied")
	}
	if r.Ambiguous {
		all = append(all, "ambiguous")
	}
	caller := r.Principal + "\n" + r.Session + "\n" + r.Subject // a new string, which does not keep the line
	if r.Tenant != "" && s.isOther(r, caller) {
		all = append(all, "other-tenant")
	}
	switch {
	case r.Dialect == audit.Client: // it has no caller
	case r.Principal == "":
		all = append(all, "anonymous")
	case len(known) > 0 && !slices.Contains(known, r.Principal) && !slices.Contains(known, callerOf(r)):
		all = append(all, "unknown")
	}
	if r.Tenant == "" || r.Failed() || r.Ambiguous {
		return all
	}
	switch home, ok := s.homes[caller]; {
	case ok && home != r.Tenant:
		s.homes[caller] = "*"
	case !ok && r.Principal != "" && s.room():
		s.homes[caller] = vault.Tenant(strings.Clone(string(r.Tenant)))
	}
	if r.Verb == audit.VerbRead && r.Address != "" {
		addresses := s.addresses[r.Tenant]
		if len(addresses) > 0 && !addresses[r.Address] {
			all = append(all, "new-address")
		}
		if !addresses[r.Address] && s.room() {
			if addresses == nil {
				addresses = make(map[string]bool)
				s.addresses[vault.Tenant(strings.Clone(string(r.Tenant)))] = addresses
			}
			addresses[strings.Clone(r.Address)] = true
		}
	}
	return all
}

func (s *auditSeen) room() bool {
	s.entries++
	return s.entries <= maxAuditSeen
}

var wallet = text.NewRegexp(`0[xX][0-9a-fA-F]{40}`)

// isOther reports whether the tenant of a record is not that of its caller. The issuer of the token chooses
// the subject. The caller chooses the session, which therefore proves nothing in its favour.
func (s *auditSeen) isOther(r audit.Record, caller string) bool {
	isTenant := func(w string) bool { return strings.EqualFold(w, string(r.Tenant)) }
	if wallets := wallet.Get().FindAllString(r.Subject, -1); len(wallets) > 0 {
		return !slices.ContainsFunc(wallets, isTenant)
	}
	for _, w := range wallet.Get().FindAllString(r.Principal+"\n"+r.Session, -1) {
		if !isTenant(w) {
			return true
		}
	}
	home, ok := s.homes[caller]
	return ok && r.Denied && home != r.Tenant && home != "*"
}
