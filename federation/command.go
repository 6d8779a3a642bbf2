package federation

import (
	"context"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/internal/command"
)

// newCommand parses exec:, a command whose output is a token.
func newCommand(line string, o *SourceOptions) (*source, error) {
	argv, err := command.Parse(line)
	if err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	return &source{"exec:" + argv[0], o.timeout(), func(ctx context.Context) ([]byte, error) {
		text, err := command.Output(ctx, argv, maxText)
		switch {
		case err == nil:
			return text, nil
		case errors.Is(err, command.ErrStart):
			return nil, &MissingError{"exec", argv[0], err}
		case errors.Is(err, command.ErrTooLong):
			return nil, fmt.Errorf("%w: %w", ErrTokenInvalid, errTooLong)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}}, nil
}
