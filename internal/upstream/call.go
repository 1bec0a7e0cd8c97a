package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
)

// maxBody bounds how much of an answer's body is read. The documented answers have a few hundred bytes.
const maxBody = 64 << 10

// request is the body of a request to the documented endpoint.
type request struct {
	ReportID int64 `json:"report_id"`
	Notify   bool  `json:"notify_candidate"`
}

// answer is the result of a request.
type answer struct {
	// err is why there is no complete answer, or that the answer came after the timeout. It must not be logged or
	// returned, because it can contain the upstream's URL.
	err error
	// sent reports whether a part of the request was sent.
	sent bool

	// The following fields are set if the answer is complete.
	code   int
	header http.Header
	// body is empty when it is larger than maxBody.
	body []byte
}

// exchange records the connection on which a request is sent. When an idle connection was closed before anything was
// written, the transport uses another; the last connection counts.
type exchange struct {
	wire *wire
	mark int64
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.wire = info.Conn.(*wire) // all connections of the transport have this type
	x.mark = x.wire.mark()
}

func (x *exchange) sent() bool { return x.wire != nil && x.wire.end(x.mark) }

// call sends one request and reads the answer, both within p.timeout. At most one request is sent, because net/http
// repeats a POST only if nothing of it was written. RoundTrip does not follow redirects, so the key is sent to no
// other host.
func (p *Client) call(ctx context.Context, endpoint, key string, r request) answer {
	body, err := json.Marshal(r)
	if err != nil {
		return answer{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var x exchange
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: x.gotConn})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "rescind")
	req.Header["apiKey"] = []string{key} // spelled as documented, for servers that compare the case

	resp, err := p.transport.RoundTrip(req)
	if err != nil {
		return answer{err: errors.Join(err, ctx.Err()), sent: x.sent()}
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return answer{err: errors.Join(err, ctx.Err()), sent: true}
	}
	if len(body) > maxBody {
		body = nil
	}
	return answer{err: ctx.Err(), sent: true, code: resp.StatusCode, header: resp.Header, body: body}
}
