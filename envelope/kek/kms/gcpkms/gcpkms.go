//go:build allkms

// Package gcpkms contains the key source of Google Cloud KMS. It is only in programs that are built
// with the tag allkms. It uses a symmetric key, which is named in every request. Of the permissions on
// the key it needs cloudkms.cryptoKeyVersions.useToEncrypt and useToDecrypt.
//
// The package was never run against Google Cloud.
package gcpkms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gocloud.dev/gcp"
	"gocloud.dev/secrets/gcpkms"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/internal/keeper"
	"github.com/objectvault/objectvault/internal/text"
)

// Config configures a source. Key and Tokens are required.
type Config struct {
	Key     string          // projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY
	Tokens  gcp.TokenSource // authenticates the requests
	Timeout time.Duration   // limits one operation; the default is 30 seconds
	// Enrolment is the record of [Enrol]. If it is nil, the source seals nothing.
	Enrolment *kms.Enrolment
}

const scheme = "gcpkms"

var keyName = text.NewRegexp(`^projects/[a-z0-9:-][a-z0-9:.-]*/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+$`)

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

// New returns the key source of a key. It sends no request.
func New(ctx context.Context, c Config) (*kms.Source, error) {
	s, err := newService(ctx, c)
	if err != nil {
		return nil, err
	}
	source, err := kms.New(kms.Config{Scheme: scheme, KeyID: c.Key, Service: s, Enrolment: c.Enrolment, Timeout: c.Timeout})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return source, nil
}

// Enrol encrypts and decrypts with the key once, and returns the record for [Config]. It ignores the
// Enrolment of c.
func Enrol(ctx context.Context, c Config) (kms.Enrolment, error) {
	s, err := newService(ctx, c)
	if err != nil {
		return kms.Enrolment{}, err
	}
	defer s.Close()
	return kms.Enrol(ctx, kms.Config{Scheme: scheme, KeyID: c.Key, Service: s, Timeout: c.Timeout})
}

// A service is a keeper and its client.
type service struct {
	keeper.Service
	hangUp func()
}

func (s service) Close() error {
	defer s.hangUp()
	return s.Service.Close()
}

func newService(ctx context.Context, c Config) (service, error) {
	switch {
	case !keyName.MatchString(c.Key):
		return service{}, invalid("the name of the key must have the form projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY")
	case c.Tokens == nil:
		return service{}, invalid("the key source has no credentials")
	}
	client, hangUp, err := gcpkms.Dial(ctx, c.Tokens)
	if err != nil {
		return service{}, fmt.Errorf("%w: the client of Cloud KMS: %w", envelope.ErrUnavailable, err)
	}
	return service{keeper.Service{Keeper: gcpkms.OpenKeeper(client, c.Key, nil), Product: "Cloud KMS", Explain: explain}, hangUp}, nil
}

// explain describes an error of the client by its code of gRPC.
func explain(err error, e *kms.Error) {
	s, ok := status.FromError(err)
	if !ok {
		e.Message = "the request failed"
		return
	}
	e.Code = s.Code().String()
	switch s.Code() {
	case codes.InvalidArgument: // its message may repeat the input
		if e.Kind = envelope.ErrInvalid; e.Operation == "Cloud KMS Decrypt" {
			e.Kind = envelope.ErrDecrypt
		}
		return
	case codes.Unauthenticated:
		e.Kind, e.State = envelope.ErrUnauthenticated, "the credentials are not valid, or have expired"
	case codes.PermissionDenied:
		e.Kind = envelope.ErrDenied
	case codes.FailedPrecondition:
		e.State = "the key is disabled or destroyed"
	case codes.NotFound:
		e.State = "the key does not exist"
	}
	e.Message = s.Message()
}
