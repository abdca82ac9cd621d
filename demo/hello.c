/* The whole content of the hello-world image that the demo makes where Docker Hub is out of reach. */

#include <unistd.h>

static const char greeting[] =
	"\n"
	"Hello from Docker!\n"
	"This text comes from the only file of a container image: no shell, no library.\n"
	"\n";

int main(void)
{
	return write(STDOUT_FILENO, greeting, sizeof greeting - 1) < 0;
}
