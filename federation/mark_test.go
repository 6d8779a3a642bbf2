package federation_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/federation"
)

// TestByteOrderMark: a byte order mark before a token is ignored, for every source. The error
// for UTF-16 names the encoding.
func TestByteOrderMark(t *testing.T) {
	token := jwt(`{"iss":"https://issuer.example","sub":"s"}`)
	path := filepath.Join(t.TempDir(), "token")
	var value string
	o := &federation.SourceOptions{Getenv: func(string) string { return value }}
	for in, wantErr := range map[string]string{
		"\ufeff" + token + "\r\n": "", "\ufeff" + token: "",
		"\xff\xfe" + strings.Join(strings.Split(token, ""), "\x00") + "\x00": "it is UTF-16 text: save it as UTF-8",
	} {
		value = in
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, spec := range []string{"file:" + path, "env:TOKEN", "exec:cat " + path} {
			source, err := federation.ParseSource(spec, o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := source.Token(t.Context())
			switch {
			case wantErr == "" && (err != nil || got.Raw.Reveal() != token):
				t.Errorf("%s of %.10q: %v", spec, in, err)
			case wantErr != "" && (!errors.Is(err, federation.ErrTokenInvalid) || !strings.HasSuffix(err.Error(), wantErr)):
				t.Errorf("%s of %.10q: %v, want %s", spec, in, err, wantErr)
			}
		}
	}
}
