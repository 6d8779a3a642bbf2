package federation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

func newFile(path string, o *SourceOptions) (*source, error) {
	if path == "" {
		return nil, errors.New("file: the path is missing")
	}
	read := readFile
	if o != nil && o.ReadFile != nil {
		read = func(_ context.Context, path string) ([]byte, error) { return o.ReadFile(path) }
	}
	return &source{"file:" + path, o.timeout(), func(ctx context.Context) ([]byte, error) {
		b, err := read(ctx, path)
		var named *fs.PathError
		if errors.As(err, &named) {
			err = named.Err // the name of the source contains the path
		}
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, errNoFile):
			return nil, &MissingError{"file", path, err}
		case errors.Is(err, errTooLong):
			return nil, fmt.Errorf("%w: %w", ErrTokenInvalid, err)
		default:
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}}, nil
}

var (
	errNoFile = errors.New("not a regular file or a pipe")
	errNotSet = errors.New("the variable is not set")
	errNoJob  = errors.New("ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set: github: works only in a GitHub Actions job with permissions: id-token: write")
)

// maxText is the length of the longest token with a byte order mark and a newline.
const maxText = maxToken + 5

// readFile reads the file at path, which may be a pipe with an active writer.
func readFile(ctx context.Context, path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeNamedPipe {
		return nil, errNoFile
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Now()) }) // works for pipes only
	defer stop()
	b, err := io.ReadAll(io.LimitReader(patient{ctx, f}, maxText+1))
	if err == nil && len(b) > maxText {
		err = errTooLong
	}
	return b, err
}

// A patient reader waits for the writer of a pipe. It is needed on Darwin, where the poller of the
// runtime does not wait.
type patient struct {
	ctx context.Context
	f   *os.File
}

func (p patient) Read(b []byte) (int, error) {
	for {
		n, err := p.f.Read(b)
		if !errors.Is(err, syscall.EAGAIN) || p.ctx.Err() != nil {
			return n, err
		}
		select {
		case <-p.ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func newVariable(name string, o *SourceOptions) (*source, error) {
	if !variable(name) { // the text may be the token itself, so it is not repeated
		return nil, errors.New("env: requires the name of a variable: at most 64 letters, digits and _")
	}
	return &source{"env:" + name, o.timeout(), func(context.Context) ([]byte, error) {
		value := o.getenv(name)
		if value == "" {
			return nil, &MissingError{"env", name, errNotSet}
		}
		return []byte(value), nil
	}}, nil
}

func variable(name string) bool {
	for i, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
