package testcloud

import (
	"context"
	"net/http"
	"time"
)

// waitForResponse waits until url returns any response.
func waitForResponse(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return poll(ctx, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return false, nil // not ready yet
		}
		return true, resp.Body.Close()
	})
}
