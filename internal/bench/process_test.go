package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// BenchmarkProcess compares whole processes: the command, a program with the SDK alone
// (testdata/rawsdk), and the aws command if it is installed. They put, get and list objects on one versitygw
// in turns, directly and through a link that gives each connection 40 MB/s and 20 ms, as a cloud does. crc32 is
// the command with checksum=crc32 in the URL of the store.
// Ratios are medians; the SDK is 1. If OBJECTVAULT_BENCH_BASE is the path of an older vault, it takes part.
// Run it with make bench-process.
func BenchmarkProcess(b *testing.B) {
	t := startVersity(b)
	t.Bucket = "bench"
	client := newS3(t).client
	if _, err := client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &t.Bucket}); err != nil {
		b.Fatal(err)
	}
	slow := link{rate: 40e6, delay: 10 * time.Millisecond}.start(b, t.Endpoint)
	p := &processes{target: t, dir: b.TempDir()}
	p.build(b)
	for _, c := range []struct {
		name, endpoint string
		size           int64
		rounds         int
	}{
		{"64B", t.Endpoint, 64, 30},
		{"1GiB", t.Endpoint, gib, 5},
		{"slow/512MiB", slow, 512 * mib, 3},
	} {
		p.file = filepath.Join(p.dir, "value")
		value, err := os.Create(p.file)
		if err == nil {
			_, err = io.Copy(value, io.LimitReader(pattern{}, c.size))
		}
		if err != nil {
			b.Fatal(err)
		}
		value.Close()
		p.Endpoint, p.key = c.endpoint, strings.ReplaceAll(c.name, "/", "-")
		b.Run(c.name+"/put", func(b *testing.B) { p.compare(b, c.rounds, "put") })
		get := "get"
		if c.size <= 8*mib {
			get = "fetch"
		}
		b.Run(c.name+"/get", func(b *testing.B) {
			for _, program := range p.programs { // put may not have been selected
				mustRun(b, program.command("put"))
			}
			p.compare(b, c.rounds, get)
		})
	}
	p.Endpoint = t.Endpoint
	b.Run("list/10000", func(b *testing.B) {
		for i := range 10_000 {
			key := fmt.Sprintf("%slisted/%05d.enc", objects, i)
			if _, err := client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &t.Bucket, Key: &key, Body: bytes.NewReader([]byte("x"))}); err != nil {
				b.Fatal(err)
			}
		}
		p.compare(b, 10, "list")
	})
}

// processes are the programs that are compared.
type processes struct {
	target
	dir, file, key string
	env            []string
	raw            string // the binary of testdata/rawsdk
	programs       []program
	refill         func(b *testing.B) // if not nil: gives the file new contents before each round
}

// A program makes the command of one operation: put, get, fetch or list.
type program struct {
	name    string
	command func(op string) *exec.Cmd
}

func (p *processes) build(b *testing.B) {
	p.addSDK(b)
	p.addAWS()
	p.addVaults(b)
}

func (p *processes) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Env, c.Stderr = p.env, os.Stderr
	return c
}

func (p *processes) addSDK(b *testing.B) {
	p.env = []string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=" + p.KeyID, "AWS_SECRET_ACCESS_KEY=" + p.Key, "AWS_REGION=us-east-1"}
	p.raw = filepath.Join(p.dir, "rawsdk")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.raw, "./testdata/rawsdk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	p.programs = append(p.programs, program{"raw", func(op string) *exec.Cmd {
		if op == "list" {
			return p.command(p.raw, p.Endpoint, p.Bucket, "list", objects+"listed/")
		}
		file := p.file
		if op != "put" {
			file += ".raw"
		}
		return p.command(p.raw, p.Endpoint, p.Bucket, op, "raw/"+p.key, file)
	}})
}

// addAWS adds the aws command, and reports whether it is installed.
func (p *processes) addAWS() bool {
	aws, err := exec.LookPath("aws")
	if err != nil || exec.Command(aws, "--version").Run() != nil {
		return false
	}
	p.programs = append(p.programs, program{"aws", func(op string) *exec.Cmd {
		remote := "s3://" + p.Bucket + "/aws/" + p.key
		switch op {
		case "put":
			return p.command(aws, "--endpoint-url", p.Endpoint, "s3", "cp", "--quiet", p.file, remote)
		case "list":
			return p.command(aws, "--endpoint-url", p.Endpoint, "s3", "ls", "s3://"+p.Bucket+"/"+objects+"listed/")
		}
		return p.command(aws, "--endpoint-url", p.Endpoint, "s3", "cp", "--quiet", remote, p.file+".aws")
	}})
	return true
}

func (p *processes) addVaults(b *testing.B) {
	newest := newCommand(b)().Path
	for _, v := range []struct{ name, binary, parameters string }{
		{"base", os.Getenv("OBJECTVAULT_BENCH_BASE"), ""}, {"vault", newest, ""}, {"crc32", newest, "&checksum=crc32"},
	} {
		name, binary := v.name, v.binary
		if binary == "" {
			continue
		}
		p.programs = append(p.programs, program{name, func(op string) *exec.Cmd {
			store := []string{"--quiet", "--tenant", tenant, "--store", "s3://" + p.Bucket + "?region=us-east-1&endpoint=" + url.QueryEscape(p.Endpoint) + v.parameters}
			switch op {
			case "put":
				return p.command(binary, append([]string{"put", name + "-" + p.key, p.file}, store...)...)
			case "list":
				return p.command(binary, append([]string{"ls", "listed/"}, store...)...)
			}
			return p.command(binary, append([]string{"get", name + "-" + p.key, "-o", p.file + "." + name}, store...)...)
		}})
	}
	mustRun(b, p.command(newest, "init", "--quiet"))
}

// compare runs the programs in turns, and reports the medians of wall time, CPU time and peak memory.
func (p *processes) compare(b *testing.B, rounds int, op string) {
	type sample struct{ wall, cpu, peak float64 }
	samples := make([][]sample, len(p.programs))
	for b.Loop() {
		for round := range rounds {
			if p.refill != nil {
				p.refill(b)
			}
			for i := range p.programs {
				i = (i + round) % len(p.programs)
				c := p.programs[i].command(op)
				start := time.Now()
				peak := watch(b, c)
				wall := time.Since(start)
				samples[i] = append(samples[i], sample{wall.Seconds(), (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), peak})
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	median := func(i int, of func(sample) float64) float64 {
		var all []float64
		for _, s := range samples[i] {
			all = append(all, of(s))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	for i, program := range p.programs {
		wall, cpu := median(i, func(s sample) float64 { return s.wall }), median(i, func(s sample) float64 { return s.cpu })
		b.ReportMetric(wall*1000, program.name+"-ms")
		b.ReportMetric(median(i, func(s sample) float64 { return s.peak }), program.name+"-MiB")
		if i > 0 {
			b.ReportMetric(wall/median(0, func(s sample) float64 { return s.wall }), program.name+"-wall-ratio")
			b.ReportMetric(cpu/median(0, func(s sample) float64 { return s.cpu }), program.name+"-cpu-ratio")
		}
	}
}
