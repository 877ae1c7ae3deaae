// A reverse tunnel built as tunnels in Go usually are: both ends of it, for the scenario "peers" and for nothing else.
//
//	tunnel front -mux smux|http2 -users ADDRESS -agents ADDRESS -home DIRECTORY
//	tunnel far -mux smux|http2 -agents ADDRESS -upstream ADDRESS -home DIRECTORY
//
// The far end dials the front over mutual TLS; whatever clients ask of the front over TLS goes through that connection
// and on to an upstream that speaks TLS. Both ends are httputil.ReverseProxy, because an agent has to change heads: it
// puts in its own token and whom it speaks for. Between them there is either a smux stream for each of a pool of kept
// HTTP/1.1 connections, or one HTTP/2 connection.
//
// It asks nobody who they are, decides nothing, records nothing and limits nothing.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xtaci/smux"
)

const (
	bufferBytes    = 32 << 10  // of one HTTP/1.1 connection, and of one copy
	keptIdle       = 4096      // connections a pool keeps: never the limit here
	streamWindow   = 1 << 20   // what may be under way of one stream
	frameBytes     = 256 << 10 // an HTTP/2 frame that is read
	streamsAtOnce  = 4096      // of one tunnel: never the limit here
	smuxFrameBytes = 65535     // the most it can
	tunnelBytes    = 1 << 30   // what may be under way of all smux streams: never the limit here
	triesToDial    = 500
	betweenTries   = 20 * time.Millisecond
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: tunnel front|far FLAGS")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	mux := flags.String("mux", "http2", "what carries requests through the tunnel: smux or http2")
	users := flags.String("users", "", "where the front listens for clients")
	agents := flags.String("agents", "", "where the front listens for the far end")
	upstream := flags.String("upstream", "", "whom the far end asks")
	home := flags.String("home", "", "directory with ca.pem, server.crt and server.key")
	flags.Parse(os.Args[2:])
	go func() { // the runner holds the other end and never writes: when it is gone, so are we
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	switch os.Args[1] {
	case "front":
		log.Fatal(front(*mux, *users, *agents, identity(*home)))
	case "far":
		log.Fatal(far(*mux, *agents, *upstream, identity(*home)))
	default:
		log.Fatalf("neither front nor far: %s", os.Args[1])
	}
}

// identity is what either end shows and whom it trusts; the certificate serves both ways.
func identity(home string) *tls.Config {
	own, err := tls.LoadX509KeyPair(filepath.Join(home, "server.crt"), filepath.Join(home, "server.key"))
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(home, "ca.pem"))
	if err != nil {
		log.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	return &tls.Config{
		Certificates:                []tls.Certificate{own},
		RootCAs:                     trusted,
		ClientCAs:                   trusted,
		ServerName:                  "localhost",
		DynamicRecordSizingDisabled: true, // full records from the start
	}
}

// front listens for clients and for the far end, whose latest connection is the tunnel.
func front(mux, users, agents string, its *tls.Config) error {
	mutual := its.Clone()
	mutual.ClientAuth, mutual.MinVersion = tls.RequireAndVerifyClientCert, tls.VersionTLS13
	tunnels, err := tls.Listen("tcp", agents, mutual)
	if err != nil {
		return err
	}
	var through current
	go func() {
		for {
			conn, err := tunnels.Accept()
			if err != nil {
				log.Fatal(err)
			}
			next, err := opened(mux, conn)
			if err != nil {
				log.Print(err)
				continue
			}
			through.Store(&next)
		}
	}()
	clients, err := tls.Listen("tcp", users, its)
	if err != nil {
		return err
	}
	proxy := proxied(&through, func(request *http.Request) { request.URL.Scheme, request.URL.Host = "http", "far" })
	return (&http.Server{Handler: proxy}).Serve(clients)
}

// far dials the front and answers what comes from there with what the upstream says.
func far(mux, agents, upstream string, its *tls.Config) error {
	conn, err := tls.Dial("tcp", agents, its)
	for tried := 1; err != nil && tried < triesToDial; tried++ { // the front starts when we do
		time.Sleep(betweenTries)
		conn, err = tls.Dial("tcp", agents, its)
	}
	if err != nil {
		return err
	}
	asking := pool()
	asking.TLSClientConfig = &tls.Config{RootCAs: its.RootCAs, ServerName: "localhost"}
	proxy := proxied(asking, func(request *http.Request) {
		request.URL.Scheme, request.URL.Host, request.Host = "https", upstream, "localhost"
		request.Header.Set("Authorization", "Bearer benchmark-upstream-token")
		request.Header.Set("Impersonate-User", "person@example.com")
		request.Header["Impersonate-Group"] = []string{"benchmark:viewers", "system:authenticated"}
	})
	if mux == "smux" {
		session, err := smux.Server(conn, streams())
		if err != nil {
			return err
		}
		return (&http.Server{Handler: proxy}).Serve(opening{session})
	}
	server := &http.Server{Handler: proxy, Protocols: onlyHTTP2(), HTTP2: frames()}
	return server.Serve(&once{conn: conn})
}

// opened makes of a new connection from the far end something that requests go through.
func opened(mux string, conn net.Conn) (http.RoundTripper, error) {
	if mux == "smux" {
		session, err := smux.Client(conn, streams())
		if err != nil {
			return nil, err
		}
		through := pool()
		through.DialContext = func(context.Context, string, string) (net.Conn, error) {
			next, err := session.OpenStream()
			return timed{next}, err
		}
		return through, nil
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return hidden{conn}, nil }
	transport := &http.Transport{Protocols: onlyHTTP2(), HTTP2: frames(), DialContext: dial, DisableCompression: true}
	return transport.NewClientConn(context.Background(), "http", "far:80")
}

// current is the tunnel of now.
type current struct {
	atomic.Pointer[http.RoundTripper]
}

func (c *current) RoundTrip(request *http.Request) (*http.Response, error) {
	through := c.Load()
	if through == nil {
		return nil, errors.New("no tunnel yet")
	}
	return (*through).RoundTrip(request)
}

// proxied sends each request on, rewritten. What comes of an answer without a length is passed on at once, as a watch
// needs it: ReverseProxy does so by itself.
func proxied(through http.RoundTripper, rewrite func(*http.Request)) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:    func(both *httputil.ProxyRequest) { rewrite(both.Out) },
		Transport:  through,
		BufferPool: &buffers{sync.Pool{New: func() any { return new([bufferBytes]byte) }}},
	}
}

type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte     { return b.Pool.Get().(*[bufferBytes]byte)[:] }
func (b *buffers) Put(used []byte) { b.Pool.Put((*[bufferBytes]byte)(used)) }

func pool() *http.Transport {
	return &http.Transport{
		MaxIdleConns:        keptIdle,
		MaxIdleConnsPerHost: keptIdle,
		DisableCompression:  true,
		ReadBufferSize:      bufferBytes,
		WriteBufferSize:     bufferBytes,
	}
}

func streams() *smux.Config {
	config := smux.DefaultConfig()
	config.Version = 2 // each stream has a window of its own: one that nobody reads does not hold up the others
	config.MaxFrameSize, config.MaxStreamBuffer, config.MaxReceiveBuffer = smuxFrameBytes, streamWindow, tunnelBytes
	return config
}

func frames() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:      streamsAtOnce,
		MaxReadFrameSize:          frameBytes,
		MaxReceiveBufferPerStream: streamWindow,
	}
}

func onlyHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // on a connection that is encrypted already, dialled by the end that serves
	return protocols
}

// hidden keeps net/http from seeing that the connection speaks TLS, which it would want to negotiate itself.
type hidden struct{ net.Conn }

// opening is a listener whose connections are the streams that the other end opens.
type opening struct{ *smux.Session }

func (o opening) Accept() (net.Conn, error) {
	next, err := o.AcceptStream()
	return timed{next}, err
}
func (o opening) Addr() net.Addr { return o.LocalAddr() }

// timed is a smux stream that says of a deadline what net/http understands; else it would end the request.
type timed struct{ *smux.Stream }

func (t timed) Read(into []byte) (int, error) {
	n, err := t.Stream.Read(into)
	if errors.Is(err, smux.ErrTimeout) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// once is a listener with a single connection.
type once struct {
	conn  net.Conn
	taken bool
}

func (o *once) Accept() (net.Conn, error) {
	if o.taken {
		select {} // the one connection is served until this process ends
	}
	o.taken = true
	return hidden{o.conn}, nil
}
func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return o.conn.LocalAddr() }
