// Command floor is the least that could take a revocation: an echo handler that reads the body and enqueues
// a task with asynq. It checks no key, knows no invites, writes no row and logs nothing, so nothing that
// accepts the same requests over the same libraries can be expected to do it for less.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/hibiken/asynq"
	"github.com/labstack/echo/v4"
)

type request struct {
	ReportID int64 `json:"report_id"`
	Notify   bool  `json:"notify_candidate"`
}

func main() {
	redis, err := asynq.ParseRedisURI(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	client := asynq.NewClient(redis)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/healthz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.POST("/assessments/invite/revoke", func(c echo.Context) error {
		var r request
		if err := c.Bind(&r); err != nil {
			return err
		}
		payload, err := json.Marshal(r)
		if err != nil {
			return err
		}
		info, err := client.EnqueueContext(c.Request().Context(), asynq.NewTask("revoke", payload))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, map[string]string{"id": info.ID})
	})
	log.Fatal(e.Start(os.Getenv("HTTP_ADDR")))
}
