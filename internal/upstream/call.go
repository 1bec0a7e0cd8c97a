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

// maxBody bounds how much of an answer's body is read. A documented one has some hundred bytes.
const maxBody = 64 << 10

// request is the documented endpoint's body.
type request struct {
	ReportID int64 `json:"report_id"`
	Notify   bool  `json:"notify_candidate"`
}

// answer is what came of a request.
type answer struct {
	// err is why there is no complete answer, or that it came when the time was over. It is for nobody to
	// read: it can hold the upstream's URL.
	err error
	// sent tells that something of the request went out.
	sent bool

	// What follows is there when the answer is complete.
	code   int
	header http.Header
	// body is empty when it is larger than maxBody.
	body []byte
}

// requestContext follows a request to the connection that it is sent on. When the transport finds that a kept
// connection was closed before anything was written, it takes another; the last one counts.
type exchange struct {
	wire *wire
	mark int64
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.wire = info.Conn.(*wire) // the transport has no other connections
	x.mark = x.wire.mark()
}

func (x *exchange) sent() bool { return x.wire != nil && x.wire.end(x.mark) }

// call sends one request and reads its answer, both within the platform's timeout. net/http sends a POST
// again by itself only when it knows that nothing of it was written, so at most one request goes out. A
// redirect is not followed: RoundTrip never does, and the key stays with the host that it is for.
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
	req.Header["apiKey"] = []string{key} // written as it is documented, for servers that look at the case

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
