package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// healthcheckTimeout is longer than a process takes to find out how its parts are.
const healthcheckTimeout = 4 * time.Second

// Healthcheck asks the process whose operators' address is addr whether it can do its work, and tells why not. It is
// for an image that holds no other client.
func Healthcheck(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	// An address without a host, or with that of all interfaces, leads to this machine when it is dialled.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
	if err != nil {
		return errors.New("ADMIN_ADDR cannot be asked")
	}
	request.Host = "localhost"
	// A proxy that the environment names is for other servers.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // what there is of it
		return fmt.Errorf("not ready: %s", why)
	}
	return nil
}
