/* The program of every board: start it, then answer the host for ever. */
#include "qhn_board.h"
#include "qhn_server.h"

int main(void)
{
    qhn_board_init();
    qhn_serve();
    return 0;
}
