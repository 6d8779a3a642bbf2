package plainserver_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

const (
	teardown  = "DELETE teardown"
	allAtOnce = ", and the server can only remove all credentials of the agent at once"
)

// outcome returns the services of a report: those removed with "", and the others with the reason.
func outcome(t *testing.T, r migrate.ShredReport) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, i := range r.Removed {
		all[i.Service] = ""
	}
	for _, k := range r.Kept {
		all[k.Service] = k.Reason
	}
	if len(all) != len(r.Removed)+len(r.Kept) {
		t.Errorf("the report contains an item twice: %+v", r)
	}
	return all
}

// each returns the same outcome for all services of values.
func each(values map[string]string, outcome string) map[string]string {
	all := make(map[string]string)
	for service := range values {
		all[service] = outcome
	}
	return all
}

// Everything of the agent is removed if everything was verified, and nothing otherwise.
func TestShred(t *testing.T) {
	values := map[string]string{"a": "1", "b & c": "2", "d": "3", "e": "4"} // more than the read limit
	const none = `{"services":[]}`
	const all = `{"services":["a","b \u0026 c","d","e"]}`
	for name, tc := range map[string]struct {
		before    func(t *testing.T, s *server)
		items     map[string]string // nil means values
		token     string            // "" means that of alice
		want      map[string]string
		is        error
		left      string // what the server lists afterwards
		teardowns int
		remark    string // start of the first one
	}{
		"all are verified": {want: each(values, ""), left: none, teardowns: 1, remark: "The database file of the old server"},
		"more are verified than exist": {
			items: map[string]string{"a": "1", "b & c": "2", "d": "3", "e": "4", "gone": "5"},
			want:  map[string]string{"a": "", "b & c": "", "d": "", "e": "", "gone": ""}, left: none, teardowns: 1, remark: `"gone" was already gone`,
		},
		"one was not verified": {
			items: map[string]string{"a": "1", "b & c": "2", "e": "4"},
			want:  each(map[string]string{"a": "", "b & c": "", "e": ""}, `the server also has "d", which was not verified`+allAtOnce), left: all,
		},
		"one has changed": {
			before: func(t *testing.T, s *server) { s.store(t, token, alice, "d", "new") },
			want:   each(values, `"d" has changed since it was verified`+allAtOnce), left: all,
		},
		"one appears during the check": {
			before: func(t *testing.T, s *server) {
				s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
					if got == "GET read" {
						s.store(t, token, alice, "new", "5")
					}
					return false
				}
			},
			want: each(values, `the server also has "new", which was not verified`+allAtOnce), left: strings.Replace(all, `"e"`, `"e","new"`, 1),
		},
		"none was verified": {items: map[string]string{}, want: map[string]string{}, left: all},
		"all are gone": {
			before: func(t *testing.T, s *server) {
				s.direct(t.Context(), token, "DELETE", "/credential/teardown", `{"agent_id":"`+alice+`"}`)
			},
			want: each(values, ""), left: none, remark: `"a" was already gone`,
		},
		"the token is scoped": {
			token: "scoped",
			before: func(t *testing.T, s *server) {
				s.direct(t.Context(), token, "DELETE", "/credential/teardown", `{"agent_id":"`+alice+`"}`)
				s.store(t, token, alice, "groq", "1")
				s.store(t, token, alice, "unseen", "2")
			},
			items: map[string]string{"groq": "1"},
			want:  map[string]string{"groq": "the token may not remove it"}, is: migrate.ErrDenied, left: `{"services":["groq","unseen"]}`, teardowns: 1,
		},
		"the server is down": {
			before: func(t *testing.T, s *server) { s.hook = respond("GET list", 503, "", "") },
			want:   each(values, "it could not be compared with the source again"), is: migrate.ErrUnavailable, left: all,
		},
		"the session has expired": {
			before: func(t *testing.T, s *server) { s.hook = respond("GET read", 401, "", "") },
			want:   each(values, "it could not be compared with the source again"), is: migrate.ErrUnauthorized, left: all,
		},
		"the request is lost": {
			before: func(t *testing.T, s *server) { s.hook = lose(s, false) },
			want:   each(values, "the server did not confirm the removal, and still has it"), is: migrate.ErrUnavailable, left: all, teardowns: 1,
		},
		"the response is lost": {
			before: func(t *testing.T, s *server) { s.hook = lose(s, true) },
			want:   each(values, ""), left: none, teardowns: 1, remark: "The database file of the old server",
		},
		"the response is lost, and then the server": {
			before: func(t *testing.T, s *server) {
				lost := lose(s, true)
				s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
					if s.count(teardown) > 0 && got == "GET list" {
						panic(http.ErrAbortHandler)
					}
					return lost(w, r, got)
				}
			},
			want: each(values, "outcome unknown: the removal was requested, and the server may have it or not"), is: migrate.ErrUnavailable, left: none, teardowns: 1,
		},
		"the server fails": {
			before: func(t *testing.T, s *server) { s.hook = respond(teardown, 500, "", "") },
			want:   each(values, "the server did not confirm the removal, and still has it"), is: migrate.ErrUnavailable, left: all, teardowns: 1,
		},
		"the server limits": {
			before: func(t *testing.T, s *server) { s.hook = respond(teardown, 429, "", "") },
			want:   each(values, "the server did not confirm the removal, and still has it"), is: migrate.ErrUnavailable, left: all, teardowns: 1,
		},
		"the server has no teardown": {
			before: func(t *testing.T, s *server) { s.hook = respond(teardown, 404, "", "") },
			want:   each(values, "the server did not remove it"), is: migrate.ErrGone, left: all, teardowns: 1,
		},
		"the server only claims to remove": {
			before: func(t *testing.T, s *server) { s.hook = respond(teardown, 200, "", `{"ok":true}`) },
			want:   each(values, "the server confirmed the removal, and still has it"), left: all, teardowns: 1,
		},
		"the server removes a part": {
			before: func(t *testing.T, s *server) {
				s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
					if got == teardown {
						s.old.ServeHTTP(w, r)
						s.store(t, token, alice, "d", "3")
						return true
					}
					return false
				}
			},
			want: map[string]string{"a": "", "b & c": "", "d": "the server confirmed the removal, and still has it", "e": ""}, left: `{"services":["d"]}`, teardowns: 1,
			remark: "The database file of the old server",
		},
		"the server forgets the agent": {
			before: func(t *testing.T, s *server) {
				s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
					return s.count(teardown) > 0 && respond("GET list", 404, "", "")(w, r, got)
				}
			},
			want: each(values, ""), left: none, teardowns: 1, remark: "The database file of the old server",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, values)
			if tc.before != nil {
				tc.before(t, s)
			}
			c := s.config()
			if tc.token != "" {
				c.Token = tc.token
			}
			items := tc.items
			if items == nil {
				items = values
			}
			report, err := open(t, c).Shred(t.Context(), verified(items))
			if !errors.Is(err, tc.is) {
				t.Errorf("error %v, want %v", err, tc.is)
			}
			if got := outcome(t, report); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if got := fmt.Sprint(report.Remarks); !strings.HasPrefix(got, "["+tc.remark) || tc.remark == "" && got != "[]" {
				t.Errorf("remarks %s, want %q", got, tc.remark)
			}
			if n := s.count(teardown); n != tc.teardowns {
				t.Errorf("%d removals, want %d", n, tc.teardowns)
			}
			if got := s.services(t, token, alice); got != tc.left {
				t.Errorf("the server has %s, want %s", got, tc.left)
			}
			if got := s.services(t, "bob", bob); got != `{"services":["openai"]}` {
				t.Errorf("the server has of another agent: %s", got)
			}
		})
	}
}

// lose returns a hook that loses the response to a removal, after or before it is applied.
func lose(s *server, applied bool) func(http.ResponseWriter, *http.Request, string) bool {
	return func(w http.ResponseWriter, r *http.Request, got string) bool {
		if got != teardown {
			return false
		}
		if applied {
			s.old.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	}
}

// An item of another agent is kept, and does not prevent the removal.
func TestShredOtherAgent(t *testing.T) {
	values := map[string]string{"a": "1"}
	s := start(t, values)
	items := append(verified(values), migrate.Verified{Item: migrate.Item{Agent: bob, Service: "openai"}, Same: func([]byte) bool { return true }})
	report, err := open(t, s.config()).Shred(t.Context(), items)
	want := map[string]string{"a": "", "openai": "it belongs to another agent"}
	if got := outcome(t, report); err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if got := s.services(t, "bob", bob); got != `{"services":["openai"]}` {
		t.Errorf("the server has of the other agent: %s", got)
	}
}

// An interrupt before the removal prevents it. The outcome of a removal that was sent is determined.
func TestShredInterrupted(t *testing.T) {
	values := map[string]string{"a": "1", "b": "2"}
	for name, tc := range map[string]struct {
		at   string // the request during which the interrupt comes
		want map[string]string
		is   error
	}{
		"before": {"GET read", each(values, "it could not be compared with the source again"), context.Canceled},
		"during": {teardown, each(values, ""), nil},
	} {
		s := start(t, values)
		ctx, stop := context.WithCancel(t.Context())
		s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
			if got != tc.at {
				return false
			}
			s.old.ServeHTTP(httptest.NewRecorder(), r)
			stop()
			<-r.Context().Done()
			return true
		}
		report, err := open(t, s.config()).Shred(ctx, verified(values))
		if got := outcome(t, report); !errors.Is(err, tc.is) || tc.is == nil && err != nil || !maps.Equal(got, tc.want) {
			t.Errorf("%s: %q, %v, want %q, %v", name, got, err, tc.want, tc.is)
		}
	}
}

// An item without a comparison was not verified.
func TestShredWithoutComparison(t *testing.T) {
	s := start(t, map[string]string{"a": "1"})
	report, err := open(t, s.config()).Shred(t.Context(), []migrate.Verified{{Item: item("a")}})
	if got := outcome(t, report); err != nil || !strings.HasPrefix(got["a"], `"a" has changed`) || s.count(teardown) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}
