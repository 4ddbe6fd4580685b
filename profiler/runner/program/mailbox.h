/* A few slots between two threads: one fills them in turn, the other empties them in the same order. */
#ifndef FJ_MAILBOX_H
#define FJ_MAILBOX_H

#include <pthread.h>
#include <stdint.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t filled, emptied; /* how many ever were */
    unsigned slots;
    int closed;
} fj_mailbox;

void fj_mailbox_open(fj_mailbox *mailbox, unsigned slots);
void fj_mailbox_free(fj_mailbox *mailbox);

/* The slot that is next, once it may be filled or emptied; -1 when the mailbox is closed. */
int fj_mailbox_to_fill(fj_mailbox *mailbox);
int fj_mailbox_to_empty(fj_mailbox *mailbox);
/* That slot is full, or empty. */
void fj_mailbox_filled(fj_mailbox *mailbox);
void fj_mailbox_emptied(fj_mailbox *mailbox);

/* Ends all waiting, now and later; what is still in the slots is dropped. */
void fj_mailbox_close(fj_mailbox *mailbox);

#endif
