#include "mailbox.h"

void fj_mailbox_open(fj_mailbox *mailbox, unsigned slots) {
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_cond_init(&mailbox->changed, NULL);
    mailbox->filled = mailbox->emptied = 0;
    mailbox->slots = slots;
    mailbox->closed = 0;
}

void fj_mailbox_free(fj_mailbox *mailbox) {
    pthread_cond_destroy(&mailbox->changed);
    pthread_mutex_destroy(&mailbox->lock);
}

/* Waits until fewer than all slots are full, or more than none. */
static int await(fj_mailbox *mailbox, int to_fill) {
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->closed && mailbox->filled - mailbox->emptied == (to_fill ? mailbox->slots : 0))
        pthread_cond_wait(&mailbox->changed, &mailbox->lock);
    int slot = mailbox->closed ? -1 : (int)((to_fill ? mailbox->filled : mailbox->emptied) % mailbox->slots);
    pthread_mutex_unlock(&mailbox->lock);
    return slot;
}

int fj_mailbox_to_fill(fj_mailbox *mailbox) {
    return await(mailbox, 1);
}

int fj_mailbox_to_empty(fj_mailbox *mailbox) {
    return await(mailbox, 0);
}

/* Two threads use a mailbox, and only one of them can be waiting. */
static void count(fj_mailbox *mailbox, uint64_t *counter) {
    pthread_mutex_lock(&mailbox->lock);
    ++*counter;
    pthread_cond_signal(&mailbox->changed);
    pthread_mutex_unlock(&mailbox->lock);
}

void fj_mailbox_filled(fj_mailbox *mailbox) {
    count(mailbox, &mailbox->filled);
}

void fj_mailbox_emptied(fj_mailbox *mailbox) {
    count(mailbox, &mailbox->emptied);
}

void fj_mailbox_close(fj_mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    mailbox->closed = 1;
    pthread_cond_broadcast(&mailbox->changed);
    pthread_mutex_unlock(&mailbox->lock);
}
