package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// healthcheckTimeout is longer than the slowest check behind /readyz.
const healthcheckTimeout = 4 * time.Second

// Healthcheck requests /readyz from the process whose operators' address is addr. It returns nil when the process is
// ready, and otherwise an error that states the reason. It lets a container check its health in an image without an HTTP
// client.
func Healthcheck(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	// Dialling an address with an empty or unspecified host reaches this machine.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
	if err != nil {
		return errors.New("ADMIN_ADDR cannot be asked")
	}
	request.Host = "localhost"
	// A new Transport uses no proxy: those in the environment are for other servers.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // a part of the reason is better than none
		return fmt.Errorf("not ready: %s", reason)
	}
	return nil
}
