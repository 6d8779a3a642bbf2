// Package bloberr removes what package blob of gocloud.dev adds to the text of an error.
package bloberr

import (
	"slices"

	"gocloud.dev/gcerrors"
)

// kinds are the errors of which package blob adds one to each error of a driver.
var kinds = []error{
	gcerrors.ErrUnknown, gcerrors.ErrNotFound, gcerrors.ErrAlreadyExists, gcerrors.ErrInvalidArgument, gcerrors.ErrInternal,
	gcerrors.ErrUnimplemented, gcerrors.ErrFailedPrecondition, gcerrors.ErrPermissionDenied, gcerrors.ErrResourceExhausted,
	gcerrors.ErrCanceled, gcerrors.ErrDeadlineExceeded,
}

// Driver returns the error of the driver if err is the error of a [blob.Bucket], such as
// "blob (key "a") (code=PermissionDenied): permission denied". Otherwise it returns nil.
//
// [blob.Bucket]: https://pkg.go.dev/gocloud.dev/blob#Bucket
func Driver(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	if all := joined.Unwrap(); len(all) == 2 && slices.Contains(kinds, all[1]) {
		return all[0]
	}
	return nil
}

// Plain returns err with the text of the driver's error. It wraps the same errors as before.
func Plain(err error) error {
	if driver := Driver(err); driver != nil {
		return &plain{driver, err}
	}
	return err
}

type plain struct{ driver, whole error }

func (p *plain) Error() string { return p.driver.Error() }
func (p *plain) Unwrap() error { return p.whole }
