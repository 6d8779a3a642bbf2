package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/costest"
)

// errUsage means that package flag has already reported a usage error.
var errUsage = errors.New("usage")

// A line is the JSON line that is printed when the server is ready.
type line struct {
	COS       string `json:"cos"`
	STS       string `json:"sts"`
	CAM       string `json:"cam"`
	KMS       string `json:"kms"`
	KMSKey    string `json:"kms_key"`
	Bucket    string `json:"bucket"`
	Region    string `json:"region"`
	CA        string `json:"ca,omitempty"`
	PID       int    `json:"pid"`
	SecretID  string `json:"secret_id,omitempty"`
	SecretKey string `json:"secret_key,omitempty"`
}

// serve starts the server, prints its URLs, and stops it when ctx ends.
func serve(ctx context.Context, w *world, args []string) (err error) {
	o := costest.Options{Unsure: make(map[string]string)}
	var setup, issuer, kmsKey string
	var untilEOF bool
	f := flag.NewFlagSet("costest", flag.ContinueOnError)
	f.SetOutput(w.err)
	f.StringVar(&o.Addr, "addr", "", "loopback `address` to listen on; the default is a free port of 127.0.0.1")
	f.StringVar(&o.Region, "region", "ap-guangzhou", "the `region` of all buckets")
	f.StringVar(&o.Bucket, "bucket", "vault-1250000000", "the `name` of the first bucket, with the APPID")
	f.StringVar(&o.SecretID, "secret-id", "", "the `id` of the owner's key; a new key by default")
	f.StringVar(&o.SecretKey, "secret-key", "", "the `secret` of the owner's key; do not use a real key")
	f.BoolFunc("versioning", "enable the bucket's versioning; -versioning=Suspended suspends it", func(s string) error {
		if o.Versioning = s; s == "true" {
			o.Versioning = "Enabled"
		}
		return nil
	})
	f.StringVar(&kmsKey, "kms-key", "", "the `id` of a key of KMS; a new key by default")
	f.BoolVar(&o.TLS, "tls", false, "also accept https")
	f.DurationVar(&o.ListLag, "list-lag", 0, "hide objects from lists for this time after they were written")
	f.StringVar(&setup, "setup", "", "apply this `file` with the output of vault policy tencent")
	f.StringVar(&issuer, "issuer", "", "get the keys of the issuer from this `URL` instead of the host in the file of -setup")
	f.Func("unsure", "select the variant of a question, as `name=variant`: "+questions(), func(s string) error {
		name, variant, _ := strings.Cut(s, "=")
		o.Unsure[name] = variant
		return nil
	})
	f.DurationVar(&o.Delay, "delay", 0, "delay each request by this `time`, which simulates a network")
	f.BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if f.NArg() > 0 {
		fmt.Fprintf(w.err, "costest: unexpected argument %q\n", f.Arg(0))
		return errUsage
	}
	if untilEOF {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() { io.Copy(io.Discard, w.in); stop() }()
	}
	s, err := costest.New(&o)
	if err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "costest: "))
	}
	defer func() {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}()
	if kmsKey == "" {
		kmsKey = s.NewKMSKey()
	} else if err := s.AddKMSKey(kmsKey); err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "costest: "))
	}
	if setup != "" {
		if err := apply(s, setup, issuer); err != nil {
			return err
		}
	}
	l := line{COS: s.URL(), STS: s.URL(), CAM: s.URL(), KMS: s.URL(), KMSKey: kmsKey, Bucket: s.Bucket(), Region: s.Region(), PID: os.Getpid()}
	if o.SecretID == "" {
		l.SecretID, l.SecretKey = s.SecretID(), s.SecretKey()
	}
	if o.TLS {
		dir, err := os.MkdirTemp("", "costest-ca-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		l.CA = filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(l.CA, s.CA(), 0o600); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(w.out).Encode(l); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// questions returns the questions and their variants for the usage text.
func questions() string {
	var all []string
	for _, q := range costest.Questions() {
		all = append(all, q.Name+"="+strings.Join(q.Variants, "|"))
	}
	return strings.Join(all, ", ")
}

// apply sets up providers, roles and policies.
func apply(s *costest.Server, file, issuer string) error {
	printed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var client *http.Client
	if issuer != "" {
		u, err := url.Parse(issuer)
		if err != nil || u.Host == "" {
			return fmt.Errorf("-issuer: %q is not a URL", issuer)
		}
		client = &http.Client{Transport: elsewhere{u}}
	}
	return s.Setup(printed, client)
}

// elsewhere is a transport that sends every request to the host of one URL.
type elsewhere struct{ to *url.URL }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = e.to.Scheme, e.to.Host, ""
	return http.DefaultTransport.RoundTrip(r)
}
