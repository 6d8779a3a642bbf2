package bench

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkTencent measures a vault in COS beside the SDK alone, on costest in a process
// of its own, next to it and as if it were 5 ms away. Run it with make bench-tencent; a TMPDIR in memory leaves the disk out of
// the large puts.
func BenchmarkTencent(b *testing.B) {
	t := startCostest(b)
	benchServer(b, t, 3)
	b.Run("away=5ms", func(b *testing.B) {
		raw, v := bothSides(b, startCostest(b, "-delay", "5ms"))
		benchObjects(b, raw, v)
	})
	b.Run("memory", func(b *testing.B) {
		benchMemory(b, t, "cos://"+t.Bucket+"?endpoint="+url.QueryEscape(t.Endpoint), "TENCENTCLOUD_SECRET_ID="+t.KeyID, "TENCENTCLOUD_SECRET_KEY="+t.Key)
	})
}

func startCostest(b *testing.B, args ...string) target {
	b.Helper()
	program := filepath.Join(b.TempDir(), "costest")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/objectvault/objectvault/cmd/costest").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command(program, append(args, "-until-eof")...) // also when this process is killed
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := server.Wait(); err != nil {
			b.Error(err)
		}
	})
	var line struct {
		COS       string
		Bucket    string
		SecretID  string `json:"secret_id"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.NewDecoder(out).Decode(&line); err != nil {
		b.Fatal(err)
	}
	return target{Cloud: "tencent", Endpoint: line.COS, Bucket: line.Bucket, KeyID: line.SecretID, Key: line.SecretKey}
}
