package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// A bouncer denies purges per object, as S3 does.
type bouncer struct {
	vault.Purger
	denied rule
}

func (b bouncer) Purge(ctx context.Context, leftovers []vault.Leftover) (map[vault.Leftover]error, error) {
	denied := make(map[vault.Leftover]error)
	var allowed []vault.Leftover
	for _, l := range leftovers {
		if b.denied(intercept.Call{Op: "purge", Key: l.Key}) {
			denied[l] = errDenied
		} else {
			allowed = append(allowed, l)
		}
	}
	failed, err := b.Purger.Purge(ctx, allowed)
	maps.Copy(denied, failed)
	return denied, err
}

// An overwriter handles a create as a put, as some servers do in versioned buckets or in multipart
// uploads. If small is not nil, it creates small objects.
type overwriter struct {
	*vault.Store
	small vault.Creator
}

func (o overwriter) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	if o.small != nil {
		var value bytes.Buffer
		if err := fill(&value); err != nil || value.Len() < 2<<20 {
			return o.small.Create(ctx, key, func(w io.Writer) error {
				if err == nil {
					_, err = w.Write(value.Bytes())
				}
				return err
			})
		}
		fill = func(w io.Writer) error { _, err := w.Write(value.Bytes()); return err }
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := o.Bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return "", err
	}
	full := false
	defer func() {
		if !full {
			cancel()
			w.Close()
		}
	}()
	if err := fill(w); err != nil {
		return "", err
	}
	full = true
	return "", w.Close()
}

// A forgetful historian returns only the newest version.
type forgetful struct{ vault.Historian }

func (f forgetful) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		for v, err := range f.Historian.Versions(ctx, key) {
			yield(v, err)
			return
		}
	}
}

// A refuser treats every tag as outdated.
type refuser struct{}

func (refuser) Swap(context.Context, string, string, func(io.Writer) error) (string, error) {
	return "", vault.ErrConflict
}

// A decliner returns an error for every create, as the provider does for COS with suspended versioning,
// where create-only is ignored.
type decliner struct{}

func (decliner) Create(context.Context, string, func(io.Writer) error) (string, error) {
	return "", fmt.Errorf("%w: versioning is suspended", vault.ErrUnsupported)
}

type sealsOnly struct{ envelope.KeySource }

func (sealsOnly) Unwrap(context.Context, envelope.Ref, envelope.Stanza, envelope.AAD) ([]byte, error) {
	return nil, envelope.ErrUnavailable
}

type opensOnly struct{ envelope.KeySource }

func (opensOnly) Wrap(context.Context, envelope.Ref, []byte, envelope.AAD) (envelope.Stanza, error) {
	return envelope.Stanza{}, errors.New("no")
}

// An answer is an error of an SDK. Its text is written for developers.
type answer struct{ code string }

func (a *answer) Error() string {
	return "operation error S3: PutObject, https response error StatusCode: 412, RequestID: tx1, api error " + a.code
}

func (a *answer) ErrorCode() string { return a.code }

// A conflicted swapper responds as S3 does.
type conflicted struct{}

func (conflicted) Swap(context.Context, string, string, func(io.Writer) error) (string, error) {
	return "", fmt.Errorf("%w: %w", vault.ErrConflict, &answer{"PreconditionFailed"})
}
