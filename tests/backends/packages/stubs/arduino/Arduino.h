/* The part of Arduino's API that the sketch uses, on a host: Serial is the standard output. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>
#include <stdio.h>

struct Flash;
#define F(text) (reinterpret_cast<const Flash *>(text))

struct Port {
    void begin(unsigned long) {}
    operator bool() const { return true; }
    void print(const Flash *text) { (void)fputs(reinterpret_cast<const char *>(text), stdout); }
    void print(char c) { (void)putchar(c); }
    void print(int value) { (void)printf("%d", value); }
    void print(unsigned value) { (void)printf("%u", value); }
    void print(long value) { (void)printf("%ld", value); }
    void println() { (void)putchar('\n'); }
    void println(const Flash *text) { print(text); println(); }
};

static Port Serial;
static inline unsigned long millis() { return 0; }

void setup();
void loop();

int main()
{
    setup();
    loop();
    return 0;
}

#endif
