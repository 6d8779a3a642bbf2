package audit

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// A clientEntry is a line of the log that the command vault writes with --log.
type clientEntry struct {
	Time       time.Time `json:"time"`
	Op         string    `json:"op"`
	Tenant     string    `json:"tenant"`
	Collection string    `json:"collection"`
	Name       string    `json:"name"`
	Store      string    `json:"store"`
	Version    string    `json:"version"`
	Result     string    `json:"result"`
	Requests   int       `json:"requests"`
	RequestIDs []string  `json:"request_ids"`
	WithoutID  *int      `json:"requests_without_id"` // nil in the logs of older versions
}

// clientVerbs are the verbs of the operations of a vault.
var clientVerbs = map[string]Verb{
	"get": VerbRead, "open": VerbRead, "stat": VerbStat, "history": VerbStat, "recipients": VerbStat, "compare": VerbStat, "accept": VerbStat,
	"list": VerbList, "convert": VerbWrite,
	"put": VerbWrite, "rollback": VerbWrite, "undelete": VerbWrite, "copy": VerbWrite, "rewrap": VerbWrite, "rotate": VerbWrite, "sync": VerbWrite,
	"delete": VerbDelete, "teardown": VerbDelete, "prune": VerbDelete, "purge": VerbDelete, "shred": VerbDelete,
}

func parseClient(text []byte) ([]Record, string) {
	var e clientEntry
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, "the JSON is malformed" // the error would quote the text
	}
	if e.Time.IsZero() || e.Op == "" || e.Result == "" {
		return nil, "the time, the operation or the result is missing"
	}
	tenant, terr := vault.ParseTenant(e.Tenant)
	collection, cerr := vault.ParseCollection(e.Collection)
	name, nerr := vault.ParseName(e.Name)
	if terr != nil || cerr != nil || nerr != nil && e.Name != "" {
		return nil, "the tenant, the collection or the name is invalid"
	}
	r := Record{
		Time: e.Time.UTC(), Tenant: tenant, Collection: collection, Name: name, Object: e.Name != "",
		Operation: e.Op, Verb: clientVerbs[e.Op], Version: e.Version, RequestIDs: e.RequestIDs,
	}
	if e.WithoutID != nil {
		r.RequestsWithoutID = max(0, *e.WithoutID)
	} else {
		r.RequestsWithoutID = max(0, e.Requests-len(e.RequestIDs)) // there may be more
	}
	_, r.Bucket, _ = strings.Cut(e.Store, "://")
	if nerr != nil {
		r.Name = ""
	}
	if r.Verb == "" {
		r.Verb = VerbOther
	}
	if e.Result != "ok" {
		r.Code, r.Denied = e.Result, e.Result == "denied" || e.Result == "unauthenticated"
	}
	return []Record{r}, ""
}
