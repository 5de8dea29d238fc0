/* What ESP-IDF's start-up code does, on a host. */
void app_main(void);

int main(void)
{
    app_main();
    return 0;
}
