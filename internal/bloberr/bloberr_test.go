package bloberr_test

import (
	"errors"
	"fmt"
	"testing"

	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/internal/bloberr"
)

// TestPlain: the text is that of the driver, and the code stays.
func TestPlain(t *testing.T) {
	b := memblob.OpenBucket(nil)
	_, missing := b.ReadAll(t.Context(), "a")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, closed := b.ReadAll(t.Context(), "a")
	other := errors.New("other")
	for _, tc := range []struct {
		err    error
		driver string // empty: none
		code   gcerrors.ErrorCode
	}{
		{missing, "blob not found", gcerrors.NotFound},
		{closed, "", gcerrors.FailedPrecondition},
		{other, "", gcerrors.Unknown},
		{errors.Join(other, missing), "", gcerrors.NotFound},
		{fmt.Errorf("%w: %w", other, missing), "", gcerrors.NotFound},
	} {
		driver, got := bloberr.Driver(tc.err), bloberr.Plain(tc.err)
		want := tc.err.Error()
		if tc.driver != "" {
			want = tc.driver
		}
		if (driver != nil) != (tc.driver != "") || driver != nil && driver.Error() != tc.driver ||
			got.Error() != want || !errors.Is(got, tc.err) || gcerrors.Code(got) != tc.code {
			t.Errorf("%v:\n driver %v, plain %v, code %v", tc.err, driver, got, gcerrors.Code(got))
		}
	}
}
