package plainserver_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"
)

// The source waits for the read limit of 3 reads in a minute, and reports each wait.
func TestLimit(t *testing.T) {
	values := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7"}
	s := start(t, values)
	c := s.config()
	var waits []time.Duration
	c.Waiting = func(d time.Duration) { waits = append(waits, d) }
	source := open(t, c)
	for service, want := range values {
		if value, err := source.Read(t.Context(), item(service)); string(value) != want || err != nil {
			t.Errorf("%s: %q, %v", service, value, err)
		}
	}
	if want := []time.Duration{time.Minute, time.Minute}; !reflect.DeepEqual(waits, want) || !reflect.DeepEqual(s.slept, want) {
		t.Errorf("reported %v, slept %v, want %v", waits, s.slept, want)
	}
}

// The server determines the wait, within bounds.
func TestWait(t *testing.T) {
	for name, tc := range map[string]struct {
		header, body string
		want         time.Duration
	}{
		"seconds":                     {"Retry-After: 7", "", 7 * time.Second},
		"a fraction":                  {"Retry-After: 1.5", "", 1500 * time.Millisecond},
		"a date":                      {"Retry-After: Tue, 14 Nov 2023 22:13:50 GMT", "", 30 * time.Second},
		"a date in the past":          {"Retry-After: Tue, 14 Nov 2022 22:13:50 GMT", "", time.Second},
		"nothing to wait for":         {"Retry-After: 0", "", time.Second},
		"negative":                    {"Retry-After: -5", "", time.Second},
		"a day":                       {"Retry-After: 86400", "", 2 * time.Minute},
		"infinite":                    {"Retry-After: Inf", "", 2 * time.Minute},
		"not a number":                {"Retry-After: NaN", "", 2 * time.Minute},
		"text":                        {"Retry-After: soon", "", 10 * time.Second},
		"text, and JSON":              {"Retry-After: soon", `{"retry_after":9}`, 9 * time.Second},
		"header before JSON":          {"Retry-After: 7", `{"retry_after":9}`, 7 * time.Second},
		"JSON seconds":                {"", `{"error":"x","retry_after_seconds":8}`, 8 * time.Second},
		"JSON secs":                   {"", `{"retry_after_secs":8}`, 8 * time.Second},
		"JSON text":                   {"", `{"retry_after":"8"}`, 10 * time.Second},
		"JSON of a list":              {"", `[8]`, 10 * time.Second},
		"JSON number beyond the most": {"", `{"retry_after":1e300}`, 2 * time.Minute},
		"no hint":                     {"", "", 10 * time.Second},
	} {
		s := start(t, map[string]string{"a": "1"})
		limited := respond("GET read", http.StatusTooManyRequests, tc.header, tc.body)
		s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
			return s.count(got) == 1 && limited(w, r, got)
		}
		if value, err := open(t, s.config()).Read(t.Context(), item("a")); string(value) != "1" || err != nil {
			t.Errorf("%s: %q, %v", name, value, err)
		}
		if want := []time.Duration{tc.want}; !reflect.DeepEqual(s.slept, want) {
			t.Errorf("%s: slept %v, want %v", name, s.slept, want)
		}
	}
}

// An interrupt ends the wait, also that of the default timer.
func TestInterruptedWait(t *testing.T) {
	s := start(t, map[string]string{"a": "1"})
	s.hook = respond("GET read", http.StatusTooManyRequests, "Retry-After: 100", "")
	ctx, stop := context.WithCancel(t.Context())
	c := s.config()
	c.Sleep = nil
	c.Waiting = func(time.Duration) { stop() }
	if _, err := open(t, c).Read(ctx, item("a")); !errors.Is(err, context.Canceled) || s.count("GET read") != 1 {
		t.Errorf("%v after %d requests", err, s.count("GET read"))
	}
}
