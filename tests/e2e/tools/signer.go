// A registry with its blobs at a CDN: a proxy that redirects each GET and HEAD of a blob to URL/HEX, signed as nginx's secure_link
// checks it and good for so many seconds, and passes on the rest.
//
//	signer TARGET URL SECRET SECONDS
//
// Prints the address, then the method of each request that it redirects.
package main

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	secret := os.Args[3]
	seconds, err := strconv.ParseInt(os.Args[4], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	registry := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: os.Args[1]})
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, hex, isBlob := strings.Cut(r.URL.Path, "/blobs/sha256:")
		if !isBlob {
			registry.ServeHTTP(w, r)
			return
		}
		expires := time.Now().Unix() + seconds
		hash := md5.Sum(fmt.Appendf(nil, "%d/%s %s", expires, hex, secret))
		signature := base64.RawURLEncoding.EncodeToString(hash[:])
		fmt.Println(r.Method)
		to := fmt.Sprintf("%s/%s?expires=%d&signature=%s", os.Args[2], hex, expires, signature)
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	})))
}
