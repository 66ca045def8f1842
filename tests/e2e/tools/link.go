// A shared link: forwards TCP connections to one target and lets so many bytes a second through to the clients, over
// all connections together. At a SIGHUP it resets those that there are, and says `cut`.
//
//	link LISTEN TARGET BYTES_PER_SECOND
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// bucket hands out time slots on the link, first come first served.
type bucket struct {
	sync.Mutex
	rate float64
	free time.Time
}

func (b *bucket) take(n int) {
	b.Lock()
	if now := time.Now(); b.free.Before(now) {
		b.free = now
	}
	b.free = b.free.Add(time.Duration(float64(n) / b.rate * float64(time.Second)))
	until := b.free
	b.Unlock()
	time.Sleep(time.Until(until))
}

func main() {
	rate, err := strconv.ParseFloat(os.Args[3], 64)
	if err != nil || rate <= 0 {
		log.Fatal("link LISTEN TARGET BYTES_PER_SECOND")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	link, open := &bucket{rate: rate}, &connections{open: map[*net.TCPConn]bool{}}
	go open.cutAtHangup()
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			client := client.(*net.TCPConn)
			open.note(client, true)
			forward(client, os.Args[2], link)
			open.note(client, false)
		}()
	}
}

// connections are those of the clients.
type connections struct {
	sync.Mutex
	open map[*net.TCPConn]bool
}

func (c *connections) note(client *net.TCPConn, open bool) {
	c.Lock()
	defer c.Unlock()
	if open {
		c.open[client] = true
	} else {
		delete(c.open, client)
	}
}

func (c *connections) cutAtHangup() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	for range hangups {
		c.Lock()
		for client := range c.open {
			_ = client.SetLinger(0) // a reset, and no orderly end
			_ = client.Close()
		}
		c.Unlock()
		fmt.Println("cut")
	}
}

func forward(client net.Conn, target string, link *bucket) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	buffer := make([]byte, 16<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 {
			link.take(n)
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
