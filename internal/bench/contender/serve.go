package contender

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
)

type request struct {
	ReportID int64 `json:"report_id"`
	Notify   bool  `json:"notify_candidate"`
}

// Serve answers the documented endpoint with 202 once accept has made a revocation durable and queued it, and
// serves its outcome. Unlike rescind, it checks no key, has no rate limit, joins no requests, and has no logs and no metrics.
func Serve(pool *pgxpool.Pool, accept func(context.Context, Revocation) error) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/healthz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.POST("/assessments/invite/revoke", func(c echo.Context) error {
		var asked request
		if err := c.Bind(&asked); err != nil {
			return err
		}
		if asked.ReportID < 1 {
			return echo.NewHTTPError(http.StatusUnprocessableEntity, "report_id: at least 1")
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		r := Revocation{Status: "PENDING", Message: messages["PENDING"], ID: id, ReportID: asked.ReportID, Notify: asked.Notify}
		if err := accept(c.Request().Context(), r); err != nil {
			return err
		}
		c.Response().Header().Set("Location", "/revocations/"+id.String())
		return c.JSON(http.StatusAccepted, r)
	})
	e.GET("/revocations/:id", func(c echo.Context) error {
		id, err := uuid.Parse(c.Param("id"))
		if err != nil {
			return echo.ErrNotFound
		}
		r, found, err := find(c.Request().Context(), pool, id)
		switch {
		case err != nil:
			return err
		case !found:
			return echo.ErrNotFound
		}
		return c.JSON(http.StatusOK, r)
	})
	log.Fatal(e.Start(os.Getenv("HTTP_ADDR")))
}
