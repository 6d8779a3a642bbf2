package federation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
)

// hidden is part of every secret of these tests, and of no other text.
const hidden = "hunter2"

// noSecret fails if text contains a secret in any form that fmt prints.
func noSecret(t *testing.T, what, text string) {
	t.Helper()
	forms := []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), strings.Trim(fmt.Sprint([]byte(hidden)), "[]"), "0x68, 0x75, 0x6e"}
	for _, form := range forms {
		if strings.Contains(text, form) {
			t.Errorf("%s contains the secret: %s", what, text)
		}
	}
}

func TestSecretIsNotShown(t *testing.T) {
	s := federation.NewSecret(hidden)
	if s.Reveal() != hidden {
		t.Errorf("Reveal = %q", s.Reveal())
	}
	if zero := (federation.Secret{}); zero.Reveal() != "" {
		t.Errorf("Reveal of the zero Secret = %q", zero.Reveal())
	}
	creds := federation.Credentials{AccessKeyID: "AKID", SecretKey: s, SessionToken: s, Expires: time.Unix(1, 0)}
	holders := map[string]any{
		"a secret":                 s,
		"a pointer":                &s,
		"credentials":              creds,
		"a pointer to credentials": &creds,
		"a token":                  federation.Token{Raw: s},
		"a login":                  federation.Login{Credentials: creds},
		"an exported field":        struct{ S federation.Secret }{s},
		"an unexported field":      struct{ s federation.Secret }{s},
		"a list":                   []federation.Secret{s},
		"a map":                    map[string]federation.Secret{"k": s},
		"options":                  &federation.Options{Cached: &creds},
		"a provider":               federation.NewProvider(nil, nil, &federation.Options{Cached: &creds}),
		"an error":                 errors.Join(fmt.Errorf("%v %+v %#v", s, s, creds)),
	}
	for what, v := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%c", "%U", "%e", "%p", "%T", "%z"} {
			noSecret(t, what+" with "+verb, fmt.Sprintf(verb, v))
		}
	}
	for what, v := range map[string]any{"credentials": creds, "a login": federation.Login{Credentials: creds}, "a map": map[string]any{"s": s}} {
		b, err := json.Marshal(v)
		if err != nil || !bytes.Contains(b, []byte("[redacted]")) {
			t.Errorf("JSON of %s: %s, %v", what, b, err)
		}
		noSecret(t, "JSON of "+what, string(b))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "c", creds)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "c", creds)
	noSecret(t, "a log", log.String())
	if got := fmt.Sprintf("%v %s %d", s, s, s); got != "[redacted] [redacted] [redacted]" {
		t.Error(got)
	}
}
