// A proxy in front of a registry that writes down what clients ask and send: for each request that has ended a line with its
// method, its target with `%3A` and `%2F` decoded, the bytes of its body and the status of the answer.
//
//	scribe TARGET
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
)

// counted is a request's body; Read is only ever called by the transport's one writer.
type counted struct {
	io.ReadCloser
	bytes int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes += int64(n)
	return n, err
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: os.Args[1]})
		r.Out.Host = r.In.Host
	}}
	plain := strings.NewReplacer("%3A", ":", "%2F", "/")
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &counted{ReadCloser: r.Body}
		if r.ContentLength != 0 {
			r.Body = body
		}
		recorded := &recorder{ResponseWriter: w}
		proxy.ServeHTTP(recorded, r)
		fmt.Println(r.Method, plain.Replace(r.RequestURI), body.bytes, recorded.status)
	})))
}
