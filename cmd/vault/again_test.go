package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestPutAgain: if the upload of a file conflicts with another write of the name, put uploads it again.
// This also applies to standard input, and while a progress bar is shown. A pipe cannot be read again,
// so the error gives a hint.
func TestPutAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		from     string
		terminal bool
		uploads  int32
		code     int
	}{
		{"file", "argument", false, 2, exitOK},
		{"file with a bar", "argument", true, 2, exitOK},
		{"redirected", "redirection", false, 2, exitOK},
		{"pipe", "pipe", false, 2, exitOK}, // uploaded again from the spool
		{"pipe without a spool", "pipe", false, 1, exitUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var uploads, ends atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", `"e"`)
				switch q := r.URL.Query(); {
				case q.Has("uploads"):
					fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>u%d</UploadId></InitiateMultipartUploadResult>", uploads.Add(1))
				case r.Method == http.MethodDelete:
					w.WriteHeader(http.StatusNoContent)
				case r.Method == http.MethodPost:
					if ends.Add(1) == 1 {
						w.WriteHeader(http.StatusConflict)
						io.WriteString(w, "<Error><Code>ConditionalRequestConflict</Code><Message>no</Message></Error>")
						return
					}
					io.WriteString(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
				}
			}))
			defer server.Close()
			home := t.TempDir()
			env := map[string]string{
				"HOME": home, "OBJECTVAULT_STORE": "s3://bucket?endpoint=" + server.URL, "OBJECTVAULT_TENANT": "acme",
				"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
			}
			for name, value := range env {
				t.Setenv(name, value) // the SDK reads the environment
			}
			in, args := io.Reader(strings.NewReader("")), []string{"vault", "put", "a"}
			if strings.HasSuffix(tc.name, "without a spool") {
				args = append(args, "--no-spool")
			}
			inSize := int64(0)
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			switch tc.from {
			case "argument":
				args = append(args, file)
			case "redirection":
				in, inSize = f, sizeLeft(f)
			case "pipe":
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				go func() {
					defer w.Close()
					io.Copy(w, f)
				}()
				in, inSize = r, sizeLeft(r)
			}
			var errs bytes.Buffer
			world := func() *world {
				return &world{
					in: in, inSize: inSize, out: new(bytes.Buffer), err: &errs, errTTY: tc.terminal, goos: "linux", now: time.Now,
					getenv: func(k string) string { return env[k] }, readFile: os.ReadFile, open: openFile, writeNew: writeNew,
					canSync: canSync, quietly: func(error) bool { return false },
				}
			}
			if code := run(t.Context(), []string{"vault", "init"}, world()); code != exitOK {
				t.Fatalf("init: exit code %d, stderr %q", code, &errs)
			}
			errs.Reset()
			if code := run(t.Context(), args, world()); code != tc.code || uploads.Load() != tc.uploads {
				t.Errorf("exit code %d, %d uploads, want %d and %d; stderr %q", code, uploads.Load(), tc.code, tc.uploads, &errs)
			}
			if tc.code != exitOK && (!strings.Contains(errs.String(), "nothing was stored, and a streamed value cannot be sent again") || !strings.Contains(errs.String(), "try again: another write of the same name was in progress")) {
				t.Errorf("stderr %q has no hint", &errs)
			}
		})
	}
}
