package tencent

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A Policy is a document in the policy language of CAM (598/10603), in the order in
// which it was read or is printed.
type Policy struct {
	Version   string      `json:"version,omitempty"`
	Statement []Statement `json:"statement"`
}

// A Statement allows or denies. Lists that were written as one string have one element.
type Statement struct {
	ID           string // of bucket policies
	Effect       string // allow or deny
	Principal    Principal
	NotPrincipal Principal
	Action       []string
	NotAction    []string
	Resource     []string
	NotResource  []string
	Condition    Conditions
}

// A Principal has lists of names by their kind: qcs, federated or service, in lower
// case. What is written as "*" is [Everybody].
type Principal map[string][]string

// Everybody is the principal "*".
func Everybody() Principal { return Principal{"*": {"*"}} }

// Conditions has values by operator, in lower case, and key.
type Conditions map[string]map[string][]string

// MarshalJSON writes lists, which is the one form that every reader of CAM takes, but a
// truth value or a number as the manuals have it: alone.
func (c Conditions) MarshalJSON() ([]byte, error) {
	all := make(map[string]map[string]any)
	for op, keys := range c {
		all[op] = make(map[string]any)
		for key, values := range keys {
			all[op][key] = values
			if len(values) == 1 && (strings.HasPrefix(op, "bool_") || strings.HasPrefix(op, "numeric_")) {
				all[op][key] = values[0]
			}
		}
	}
	return policy.Compact(all), nil
}

// MarshalJSON writes "*", or lists by kind.
func (p Principal) MarshalJSON() ([]byte, error) {
	if _, all := p["*"]; all {
		return []byte(`"*"`), nil
	}
	return json.Marshal(map[string][]string(p))
}

// MarshalJSON writes the elements that are there, in lower case, as CAM's console insists.
func (s Statement) MarshalJSON() ([]byte, error) {
	return policy.Compact(struct {
		ID           string     `json:"sid,omitempty"`
		Effect       string     `json:"effect,omitempty"`
		Principal    Principal  `json:"principal,omitempty"`
		NotPrincipal Principal  `json:"notprincipal,omitempty"`
		Action       []string   `json:"action,omitempty"`
		NotAction    []string   `json:"notaction,omitempty"`
		Resource     []string   `json:"resource,omitempty"`
		NotResource  []string   `json:"notresource,omitempty"`
		Condition    Conditions `json:"condition,omitempty"`
	}(s)), nil
}

// String is the document on one line without spaces.
func (p *Policy) String() string {
	if p == nil {
		return ""
	}
	return string(policy.Compact(p))
}

func newPolicy(statements ...Statement) *Policy {
	return &Policy{Version: version, Statement: statements}
}

// version is the only one that CAM has.
const version = "2.0"

// JSON is one object that holds every part.
func (d *Documents) JSON() []byte {
	var b bytes.Buffer
	_ = json.Indent(&b, policy.Compact(d), "", "  ") // Compact returns JSON
	b.WriteByte('\n')
	return b.Bytes()
}
