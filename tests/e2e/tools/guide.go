// An upstream at several addresses that sends its clients elsewhere: a blob of the repository NAME is redirected to
// URL/NAME, any other path that ends in a name is the blob. An address with port 443 speaks TLS.
//
//	guide CERTIFICATE KEY ADDRESS… NAME=URL…
//
// Prints the blob's digest and `ready`, then a line for each connection, with the address that was dialled.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	blob := []byte(strings.Repeat("where an upstream points to is not where wharf goes\n", 4096))
	elsewhere := map[string]string{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
		if to, known := elsewhere[name]; known {
			http.Redirect(w, r, to+"/"+name, http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(blob)
	})
	ended := make(chan error)
	for _, argument := range os.Args[3:] {
		if name, to, found := strings.Cut(argument, "="); found {
			elsewhere[name] = to
			continue
		}
		listener, err := net.Listen("tcp", argument)
		if err != nil {
			log.Fatal(err)
		}
		server := &http.Server{Handler: handler, ConnState: func(connection net.Conn, state http.ConnState) {
			if state == http.StateNew {
				fmt.Println("dialled", connection.LocalAddr())
			}
		}}
		go func() {
			if strings.HasSuffix(argument, ":443") {
				ended <- server.ServeTLS(listener, os.Args[1], os.Args[2])
			} else {
				ended <- server.Serve(listener)
			}
		}()
	}
	fmt.Printf("digest sha256:%x\nready\n", sha256.Sum256(blob))
	log.Fatal(<-ended)
}
