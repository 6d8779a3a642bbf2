package vault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestDecide compares the verdict for each condition, outcome and result of a read back.
func TestDecide(t *testing.T) {
	kinds := []writeKind{replace, create, swap}
	for _, kind := range kinds {
		for o, want := range map[outcome]verdict{stored: succeed, refused: failed, notApplied: tryAgain} {
			// No object is read back while every outcome is certain.
			if got := decide(kind, o, false, nothing); got != want {
				t.Errorf("%v, outcome %d, nothing unknown: verdict %d, want %d", kind, o, got, want)
			}
		}
	}
	for _, tc := range []struct {
		kind                                         writeKind
		nothing, ours, unchanged, others, unreadable verdict
	}{
		{replace, tryAgain, succeed, tryAgain, tryAgain, unsure},
		{create, tryAgain, succeed, tryAgain, exists, unsure},
		{swap, conflicts, succeed, tryAgain, conflicts, unsure},
	} {
		for there, want := range map[seen]verdict{
			nothing: tc.nothing, ours: tc.ours, unchanged: tc.unchanged, others: tc.others, unreadable: tc.unreadable,
		} {
			for _, o := range []outcome{refused, notApplied, unknown} {
				if got := decide(tc.kind, o, true, there); got != want {
					t.Errorf("%v, outcome %d after an unknown one, read back %d: verdict %d, want %d", tc.kind, o, there, got, want)
				}
			}
			if got := decide(tc.kind, stored, true, there); got != succeed {
				t.Errorf("%v, stored: verdict %d", tc.kind, got)
			}
		}
	}
}

// TestClassify compares the outcome of each kind of error.
func TestClassify(t *testing.T) {
	reset := errors.New("connection reset")
	for _, tc := range []struct {
		full bool
		err  error
		want outcome
	}{
		{true, nil, stored},
		{true, reset, unknown},
		{true, context.Canceled, unknown},
		{true, fact(ErrUnavailable, reset), unknown},
		{false, fact(ErrUnavailable, reset), notApplied}, // the store cannot publish a part
		{false, context.Canceled, notApplied},
		{true, &Cause{Sentinel: ErrUnavailable}, unknown},
		{true, &Cause{Sentinel: ErrUnavailable, Effect: NotApplied}, notApplied},
		{true, &Cause{Sentinel: ErrUnavailable, Effect: MayArrive}, unknown},
		{true, ErrBusy, notApplied},
		{true, ErrPermission, refused},
		{true, ErrUnauthenticated, refused},
		{true, ErrNoSpace, refused},
		{true, ErrUnsupported, refused},
		{true, ErrExist, refused},
		{true, ErrConflict, refused},
		{true, ErrNotFound, refused},
		{false, fmt.Errorf("%w: the disk failed", ErrUnsure), unknown},
	} {
		if got := classify(tc.full, tc.err); got != tc.want {
			t.Errorf("full %v, %v: outcome %d, want %d", tc.full, tc.err, got, tc.want)
		}
	}
}
